"""The back of the head: rings of vertices that run from the rim of the face to a pole behind the skull.

The last ring lies in the pole itself, once for every vertex of the rim, because each has its own place in the texture.
"""

import numpy as np

from local.agent.arrays import Floats, Integers
from local.agent.easing import smoothstep

RINGS = 14
CENTRE = np.array([0.0, 1.5, -3.0])  # of the skull, in cm on the canonical axes
POLE = np.array([0.0, 0.05, -1.0]) / np.hypot(0.05, 1.0)
HALF_WIDTH, HALF_LENGTH = 7.9, 8.8  # cm, an adult head
HEIGHT_ABOVE, HEIGHT_BELOW = 11.0, 9.5  # cm from the centre
ROUNDNESS = 2.4  # exponent of the skull's superellipsoid; 2 is an ellipsoid
REACHED = 0.45  # share of the way to the pole after which the shell lies on the skull
TEXTURE_MARGIN = 0.004  # between the texture's border and the pole


def steps() -> Floats:
    """(RINGS,): how far each ring is on its way from the rim, 0, to the pole, 1."""
    return np.linspace(0, 1, RINGS + 1)[1:]


def vertices(rim: Floats) -> Floats:
    """(RINGS * k, 3) in cm, ring by ring, for a rim (k, 3)."""
    distances = np.linalg.norm(rim - CENTRE, axis=1)
    directions = (rim - CENTRE) / distances[:, None]
    angles = np.arccos(np.clip(directions @ POLE, -1, 1))
    rings = []
    for step in steps():
        turned = np.sin((1 - step) * angles)[:, None] * directions + np.sin(step * angles)[:, None] * POLE
        turned /= np.linalg.norm(turned, axis=1, keepdims=True)
        on_skull = smoothstep(step / REACHED)
        rings.append(CENTRE + turned * (distances * (1 - on_skull) + _skull(turned) * on_skull)[:, None])
    return np.concatenate(rings)


def _skull(directions: Floats) -> Floats:
    """Distance of the skull from its centre along unit directions (n, 3)."""
    heights = np.where(directions[:, 1] > 0, HEIGHT_ABOVE, HEIGHT_BELOW)
    radii = np.stack([np.full(len(directions), HALF_WIDTH), heights, np.full(len(directions), HALF_LENGTH)], axis=1)
    radius: Floats = (np.abs(directions / radii) ** ROUNDNESS).sum(axis=1) ** (-1 / ROUNDNESS)
    return radius


def triangles(rim: Integers, first: int) -> Integers:
    """(k * (2 * RINGS - 1), 3) between the rim's vertices and the shell's, which are numbered from `first`."""
    count = len(rim)
    rings = np.concatenate([rim[None], first + np.arange(RINGS * count).reshape(RINGS, count)])
    here, there = rings[:-1], rings[1:]
    here_next, there_next = np.roll(here, -1, axis=1), np.roll(there, -1, axis=1)
    towards = np.stack([here, here_next, there], axis=-1)
    away = np.stack([here_next, there_next, there], axis=-1)[:-1]  # without area where the ring is the pole
    return np.concatenate([towards.reshape(-1, 3), away.reshape(-1, 3)])


def uv(rim_uv: Floats) -> Floats:
    """(RINGS * k, 2): straight lines from the rim's place in the texture to the texture's border."""
    centre = rim_uv.mean(axis=0)
    outward = rim_uv - centre
    room = np.where(outward > 0, 1 - TEXTURE_MARGIN - centre, centre - TEXTURE_MARGIN)
    border = centre + outward * (room / np.maximum(np.abs(outward), 1e-9)).min(axis=1, keepdims=True)
    return np.concatenate([rim_uv + (border - rim_uv) * step for step in steps()])
