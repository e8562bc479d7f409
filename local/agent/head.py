"""The mesh of a head: the face and the shell behind it as one closed surface. Its topology never changes."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from local.agent import shell
from local.agent.arrays import Floats, Integers
from local.agent.canonical import CanonicalFace, canonical_face

FACE_SCALE = 0.88  # the canonical texture layout is shrunk by this to leave a border for the shell
FACE_BOTTOM = 0.955  # where the chin's end lies in the texture after that


@dataclass(frozen=True)
class Topology:
    """triangles (m, 3) and uv (n, 2) of the whole head. The first 468 vertices are the face, the rest the shell."""

    triangles: Integers
    uv: Floats
    rim: Integers

    @property
    def pole(self) -> slice:
        """The vertices that lie together in the pole."""
        return slice(len(self.uv) - len(self.rim), len(self.uv))


@lru_cache(maxsize=1)
def topology() -> Topology:
    canonical = canonical_face()
    face_uv = _face_uv(canonical)
    behind = shell.triangles(canonical.rim, first=len(face_uv))
    return Topology(
        triangles=np.concatenate([canonical.triangles, behind]),
        uv=np.concatenate([face_uv, shell.uv(face_uv[canonical.rim])]),
        rim=canonical.rim,
    )


def _face_uv(canonical: CanonicalFace) -> Floats:
    shrunk = 0.5 + (canonical.uv - 0.5) * FACE_SCALE
    shrunk[:, 1] += FACE_BOTTOM - shrunk[:, 1].max()
    return shrunk


def closed(face: Floats) -> Floats:
    """All vertices of a head, (n, 3) in cm, for the vertices (468, 3) of its face."""
    return np.concatenate([face, shell.vertices(face[topology().rim])])


def normals(vertices: Floats) -> Floats:
    """Unit normals (n, 3), the mean over the triangles around, weighted by their area."""
    corners = vertices[topology().triangles]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    sums = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(sums, topology().triangles[:, corner], across)
    sums[topology().pole] = sums[topology().pole].sum(axis=0)
    unit: Floats = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    return unit


def over_shell(rim: Floats, shares: Floats) -> Floats:
    """(RINGS * k, c): the rim's values (k, c) carried into the shell, by a share (RINGS,) for each ring."""
    return np.concatenate([rim * share for share in shares])
