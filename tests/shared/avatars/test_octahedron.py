"""The model of test mode: one file, known to the last byte, that every viewer opens."""

import hashlib

import numpy as np

from avatars import glb, octahedron
from tests.gltf import Glb, validate


def test_it_has_the_hash_that_is_documented() -> None:
    assert hashlib.sha256(octahedron.glb()).hexdigest() == octahedron.SHA256


def test_it_is_accepted_like_an_agents_model() -> None:
    glb.check(octahedron.glb())


def test_khronos_validator_finds_nothing_wrong_with_it() -> None:
    report = validate(octahedron.glb())
    assert report["issues"]["messages"] == []
    assert report["info"]["totalVertexCount"] == octahedron.VERTICES
    assert report["info"]["totalTriangleCount"] == octahedron.TRIANGLES


def test_every_face_looks_outwards_and_is_wound_so() -> None:
    model = Glb(octahedron.glb())
    positions, normals = (model.attribute(name).reshape(-1, 3, 3) for name in ("POSITION", "NORMAL"))
    a, b, c = positions[:, 0], positions[:, 1], positions[:, 2]
    assert (np.einsum("ij,ij->i", np.cross(b - a, c - a), a + b + c) > 0).all()
    assert (np.einsum("ij,ij->i", normals[:, 0], a + b + c) > 0).all()
    assert np.allclose(np.linalg.norm(normals, axis=2), 1)
