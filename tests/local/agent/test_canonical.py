"""The canonical face as it was taken from MediaPipe."""

import hashlib

import numpy as np
import pytest

from local.agent.canonical import canonical_face
from local.agent.network import ASSETS

DIGESTS = {
    "canonical_face.npz": "fe4f39dabd5fe5420608186dcd1376a878c8a5e01293ea4971ff1307f6af1fcf",
    "face_detection_short_range.tflite": "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633",
    "face_landmark.tflite": "c603fa6149219a3e9487dc9abd7a0c24474c77263273d24868378cdf40aa26d1",
}


@pytest.mark.parametrize("name", DIGESTS)
def test_the_assets_are_the_ones_the_notice_describes(name: str) -> None:
    assert hashlib.sha256((ASSETS / name).read_bytes()).hexdigest() == DIGESTS[name]
    assert name in (ASSETS / "NOTICE").read_text()
    assert "Apache License" in (ASSETS / "LICENSE").read_text()


def test_it_has_the_landmarks_of_face_mesh() -> None:
    face = canonical_face()
    assert face.vertices.shape == (468, 3)
    assert face.uv.shape == (468, 2)
    assert face.triangles.shape == (898, 3)
    assert (face.uv >= 0).all()
    assert (face.uv <= 1).all()


def test_the_fit_is_anchored_in_bone_and_weighs_both_sides_alike() -> None:
    face = canonical_face()
    assert len(face.anchors) == len(face.anchor_weights) == 33
    assert (face.anchor_weights > 0).all()
    sides = np.sign(np.round(face.vertices[face.anchors, 0], 3))
    assert face.anchor_weights[sides > 0].sum() == pytest.approx(face.anchor_weights[sides < 0].sum())


def test_the_rim_is_one_loop_around_the_mask() -> None:
    face = canonical_face()
    assert len(face.rim) == len(set(face.rim.tolist())) == 36
    assert {10, 152, 234, 454} <= set(face.rim.tolist()), "forehead, chin and both ears"
