"""The shape of a head: closed, the right way out, of human size, and much the same on both sides."""

from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest

from local.agent import head, shell
from local.agent.canonical import canonical_face
from local.agent.fitting import fit
from local.agent.search import Face

Points = npt.NDArray[np.float64]
FACE = 468


@pytest.fixture
def vertices(faces: dict[str, Face], person: str) -> Points:
    return np.asarray(head.closed(fit(faces[person].landmarks).face), np.float64)


def welded() -> npt.NDArray[np.int64]:
    """Triangles in which the pole is one vertex, as it is one point."""
    triangles = head.topology().triangles.copy()
    triangles[triangles >= head.topology().pole.start] = head.topology().pole.start
    return np.asarray(triangles, np.int64)


def edges(triangles: npt.NDArray[np.int64]) -> Counter[tuple[int, int]]:
    return Counter(
        (int(a), int(b)) for corners in triangles for a, b in zip(corners, np.roll(corners, -1), strict=True)
    )


def mirrored_landmarks() -> npt.NDArray[np.int64]:
    """For each vertex of the face, its counterpart on the other side."""
    canonical = canonical_face().vertices
    distances = np.linalg.norm((canonical * (-1, 1, 1))[:, None] - canonical[None], axis=2)
    assert distances.min(axis=1).max() < 1e-6
    return np.asarray(distances.argmin(axis=1), np.int64)


def test_the_surface_is_closed_and_consistently_wound() -> None:
    directed = edges(welded())
    assert set(directed.values()) == {1}, "each directed edge once"
    assert all((b, a) in directed for a, b in directed), "and once the other way"


def test_the_surface_is_a_sphere_without_holes_or_handles() -> None:
    triangles = welded()
    corners, sides = len(np.unique(triangles)), len(edges(triangles)) // 2
    assert corners - sides + len(triangles) == 2


def test_every_vertex_is_used_and_no_triangle_is_empty(vertices: Points) -> None:
    triangles = head.topology().triangles
    assert set(triangles.ravel()) >= set(range(head.topology().pole.start))
    a, b, c = np.moveaxis(vertices[triangles], 1, 0)
    assert np.linalg.norm(np.cross(b - a, c - a), axis=1).min() > 1e-6


def test_the_surface_faces_outwards(vertices: Points) -> None:
    a, b, c = np.moveaxis(vertices[welded()], 1, 0)
    litres = float(np.einsum("ni,ni->n", a, np.cross(b, c)).sum()) / 6 / 1000
    assert 2.0 < litres < 4.5, "the volume is positive, and a head's without the neck"


def test_the_head_has_human_size_in_centimetres(vertices: Points) -> None:
    width, height, depth = np.ptp(vertices, axis=0)
    assert 13 < width < 18
    assert 19 < height < 26
    assert 16 < depth < 24


def test_the_face_looks_along_z_with_the_nose_foremost_and_the_chin_down(vertices: Points) -> None:
    nose, chin, forehead = vertices[4], vertices[152], vertices[10]
    assert nose[2] > vertices[:FACE, 2].max() - 0.5
    assert chin[1] < nose[1] < forehead[1]
    assert vertices[263, 0] > 0 > vertices[33, 0], "the person's left is +x"


def test_the_head_is_nearly_symmetrical(vertices: Points) -> None:
    face = vertices[:FACE]
    difference = np.linalg.norm(face[mirrored_landmarks()] * (-1, 1, 1) - face, axis=1)
    assert difference.mean() < 0.35
    assert difference.max() < 1.2
    assert abs(vertices[:, 0].max() + vertices[:, 0].min()) < 0.6


def test_the_canonical_head_is_symmetrical() -> None:
    vertices = head.closed(canonical_face().vertices)
    mirrored = vertices * (-1, 1, 1)
    nearest = np.linalg.norm(mirrored[:, None] - vertices[None], axis=2).min(axis=1)
    assert nearest.max() < 1e-6


def test_the_skull_lies_behind_the_face(vertices: Points) -> None:
    back = vertices[FACE:]
    assert back[:, 2].max() < vertices[4, 2]
    assert np.allclose(vertices[head.topology().pole], vertices[-1]), "the pole is one point"
    assert vertices[-1, 2] == pytest.approx(vertices[:, 2].min(), abs=0.5)


def test_rings_go_from_the_rim_to_the_pole_without_folding(vertices: Points) -> None:
    rim = head.topology().rim
    rings = np.concatenate([vertices[rim], vertices[FACE:]]).reshape(shell.RINGS + 1, len(rim), 3)
    directions = rings - shell.CENTRE
    directions /= np.linalg.norm(directions, axis=2, keepdims=True)
    angles = np.arccos(np.clip(directions @ shell.POLE, -1, 1))
    assert (np.diff(angles, axis=0) < 0).all()


def test_normals_are_of_unit_length_and_point_outwards(vertices: Points) -> None:
    normals = head.normals(vertices)
    assert np.allclose(np.linalg.norm(normals, axis=1), 1)
    outward = vertices[FACE:] - shell.CENTRE
    assert (np.einsum("ni,ni->n", normals[FACE:], outward) > 0).all()
    assert normals[4, 2] > 0.5, "the tip of the nose"
    assert normals[-1, 2] < -0.9, "the back of the head"


def test_texture_coordinates_lie_in_the_texture_and_mirror_each_other() -> None:
    uv = head.topology().uv
    assert uv.min() >= 0
    assert uv.max() <= 1
    mirrored = uv[:FACE][mirrored_landmarks()] * (-1, 1) + (1, 0)
    assert np.abs(mirrored - uv[:FACE]).max() < 0.002


def test_no_two_triangles_share_a_place_in_the_texture() -> None:
    a, b, c = np.moveaxis(head.topology().uv[head.topology().triangles], 1, 0)
    turns = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    shell_turns = turns[len(canonical_face().triangles) :]
    assert (shell_turns < 0).all() or (shell_turns > 0).all(), "none is turned over"
    assert np.sign(shell_turns[0]) == np.sign(np.median(turns))
    assert np.abs(turns).sum() / 2 <= 1
