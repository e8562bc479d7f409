"""The canonical face of MediaPipe, the topology every avatar shares."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from local.agent.arrays import Floats, Integers
from local.agent.network import ASSETS


@dataclass(frozen=True)
class CanonicalFace:
    """vertices (468, 3) in cm: x to the person's left, y up, z out of the face; uv (468, 2) from the upper left;
    triangles (898, 3), counter-clockwise from outside; anchors (33,) the landmarks a head is fitted by, and their
    weights; rim (36,) the edge of the mask, in the order in which triangles outside of it run along it."""

    vertices: Floats
    uv: Floats
    triangles: Integers
    anchors: Integers
    anchor_weights: Floats
    rim: Integers


@lru_cache(maxsize=1)
def canonical_face() -> CanonicalFace:
    with np.load(ASSETS / "canonical_face.npz") as stored:
        triangles = stored["tri"].astype(np.int64)
        return CanonicalFace(
            vertices=stored["xyz"].astype(np.float64),
            uv=stored["uv"].astype(np.float64),
            triangles=triangles,
            anchors=stored["basis"][:, 0].astype(np.int64),
            anchor_weights=stored["basis"][:, 1],
            rim=_rim(triangles),
        )


def _rim(triangles: Integers) -> Integers:
    """The edges that belong to one triangle only, walked against that triangle's direction."""
    edges = {(int(a), int(b)) for triangle in triangles for a, b in zip(triangle, np.roll(triangle, -1), strict=True)}
    following = {b: a for a, b in edges if (b, a) not in edges}
    loop = [min(following)]
    while (vertex := following[loop[-1]]) != loop[0]:
        loop.append(vertex)
    return np.array(loop)
