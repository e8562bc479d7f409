"""The fit of a head: exact where the answer is known."""

import numpy as np
import numpy.typing as npt
import pytest

from local.agent.canonical import canonical_face
from local.agent.fitting import CANONICAL_SHARE, PHOTO_AXES, fit, procrustes
from local.agent.search import Face


def rotation(x: float, y: float, z: float) -> npt.NDArray[np.float64]:
    cx, cy, cz, sx, sy, sz = *np.cos([x, y, z]), *np.sin([x, y, z])
    around_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    around_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    around_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    turned: npt.NDArray[np.float64] = around_x @ around_y @ around_z
    return turned


def test_a_known_similarity_is_found_again() -> None:
    source = np.random.default_rng(1).normal(size=(40, 3))
    target = 2.5 * source @ rotation(0.3, -0.8, 1.9).T + (4, -7, 1)
    found = procrustes(source, target, weights=np.ones(40))
    assert found.scale == pytest.approx(2.5)
    assert np.allclose(found.rotation, rotation(0.3, -0.8, 1.9))
    assert np.allclose(found.apply(source), target)
    assert np.allclose(found.invert(target), source)


def test_points_without_weight_do_not_matter() -> None:
    source = np.random.default_rng(2).normal(size=(40, 3))
    target = source + np.array([1, 2, 3])
    target[20:] = 1000
    found = procrustes(source, target, weights=np.repeat([1.0, 0.0], 20))
    assert np.allclose(found.apply(source[:20]), target[:20])


def test_a_mirror_image_is_never_the_answer() -> None:
    source = np.random.default_rng(3).normal(size=(40, 3))
    found = procrustes(source, source * (-1, 1, 1), weights=np.ones(40))
    assert np.linalg.det(found.rotation) == pytest.approx(1)


def test_the_canonical_face_seen_from_any_side_fits_itself() -> None:
    canonical = canonical_face().vertices
    seen = (canonical @ rotation(0.2, 0.6, -0.4).T * 13 + (300, -250, 40)) * PHOTO_AXES
    fitted = fit(seen)
    assert np.allclose(fitted.face, canonical)
    assert np.allclose(fitted.in_photo(canonical), seen)


def test_the_scale_of_the_photo_does_not_change_the_head(faces: dict[str, Face], person: str) -> None:
    landmarks = faces[person].landmarks
    assert np.allclose(fit(landmarks).face, fit(landmarks * 3 + (10, 20, 0)).face)


def test_a_part_of_the_canonical_face_is_mixed_in(faces: dict[str, Face], person: str) -> None:
    fitted = fit(faces[person].landmarks)
    own = fitted.similarity.apply(faces[person].landmarks * PHOTO_AXES)
    assert np.allclose(fitted.face, own + (canonical_face().vertices - own) * CANONICAL_SHARE)
    assert np.linalg.norm(own - canonical_face().vertices, axis=1).mean() < 1, "cm from the average face"
