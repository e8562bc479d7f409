"""Morph targets: the right vertices move, in the right direction, and the surface stays whole."""

import numpy as np
import numpy.typing as npt
import pytest

from local.agent import head
from local.agent.fitting import fit
from local.agent.morphs import morph_targets
from local.agent.search import Face

Points = npt.NDArray[np.float64]
NAMES = ["blinkLeft", "blinkRight", "smile", "jawOpen", "browUp"]
FACE = 468
EYES = {"blinkRight": (159, 145), "blinkLeft": (386, 374)}


@pytest.fixture
def face(faces: dict[str, Face], person: str) -> Points:
    return np.asarray(fit(faces[person].landmarks).face, np.float64)


@pytest.fixture
def targets(face: Points) -> dict[str, Points]:
    return {name: np.asarray(moves, np.float64) for name, moves in morph_targets(face).items()}


def moved(moves: Points) -> set[int]:
    """Vertices that move by more than half a millimetre."""
    return set(np.flatnonzero(np.linalg.norm(moves, axis=1) > 0.05).tolist())


def test_there_are_five_in_their_order(targets: dict[str, Points]) -> None:
    assert list(targets) == NAMES
    assert {moves.shape for moves in targets.values()} == {(len(head.topology().uv), 3)}


@pytest.mark.parametrize("name", EYES)
def test_a_blink_closes_one_eye_and_nothing_else(face: Points, targets: dict[str, Points], name: str) -> None:
    closing, open_ = EYES[name], EYES[next(other for other in EYES if other != name)]
    after = face + targets[name][:FACE]
    gap, gap_after = (points[closing[0], 1] - points[closing[1], 1] for points in (face, after))
    assert 0 <= gap_after < 0.15 * gap
    assert not moved(targets[name]) & set(open_)
    side = {"blinkLeft": 1, "blinkRight": -1}[name]
    assert all(side * face[vertex, 0] > 0 for vertex in moved(targets[name]) if vertex < FACE)
    assert targets[name][closing[0], 1] < 0 <= targets[name][closing[1], 1]


def test_a_smile_draws_the_corners_of_the_mouth_out_and_up(face: Points, targets: dict[str, Points]) -> None:
    left, right = targets["smile"][291], targets["smile"][61]
    assert left[0] > 0.3 > -0.3 > right[0]
    assert min(left[1], right[1]) > 0.3
    still = {33, 263, 10, 152, 9}
    assert not moved(targets["smile"]) & still


def test_an_open_jaw_lowers_the_chin_and_the_lower_lip_only(face: Points, targets: dict[str, Points]) -> None:
    moves = targets["jawOpen"]
    assert moves[152, 1] < -1
    assert moves[14, 1] < -0.5 < moves[13, 1] == 0
    assert not any(face[vertex, 1] > face[13, 1] for vertex in moved(moves) if vertex < FACE)


def test_raised_brows_move_up_and_the_eyes_stay(targets: dict[str, Points]) -> None:
    moves = targets["browUp"]
    assert min(moves[105, 1], moves[334, 1]) > 0.5
    assert max(abs(moves[[159, 386, 4, 13, 152], 1])) < 0.35


def test_the_shell_goes_with_the_rim(targets: dict[str, Points]) -> None:
    rim = head.topology().rim
    for moves in targets.values():
        first_ring = moves[FACE : FACE + len(rim)]
        assert np.allclose(first_ring, moves[rim] * 0.8)
        assert not moves[head.topology().pole].any()


def test_no_triangle_of_the_face_turns_over(face: Points, targets: dict[str, Points]) -> None:
    triangles = head.topology().triangles
    triangles = triangles[(triangles < FACE).all(axis=1)]

    def normals(points: Points) -> Points:
        a, b, c = np.moveaxis(points[triangles], 1, 0)
        return np.cross(b - a, c - a)

    for name, moves in targets.items():
        before, after = normals(face), normals(face + moves[:FACE])
        over = np.einsum("ni,ni->n", before, after) < 0
        assert over.mean() < 0.01, name
