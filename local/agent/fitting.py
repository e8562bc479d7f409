"""Fitting the head: the landmarks of the photo moved, turned and scaled onto the canonical face."""

from dataclasses import dataclass

import numpy as np

from local.agent.arrays import Floats
from local.agent.canonical import canonical_face

CANONICAL_SHARE = 0.15  # FaceMesh's depth is a guess: this much of the canonical face calms it
PHOTO_AXES = np.array([1.0, -1.0, -1.0])  # x right, y down, z away, against x right, y up, z towards the viewer


@dataclass(frozen=True)
class Similarity:
    """target = scale * rotation @ source + translation."""

    scale: float
    rotation: Floats
    translation: Floats

    def apply(self, points: Floats) -> Floats:
        return self.scale * points @ self.rotation.T + self.translation

    def invert(self, points: Floats) -> Floats:
        return (points - self.translation) @ self.rotation / self.scale


@dataclass(frozen=True)
class Fit:
    """face (468, 3) in cm on the canonical axes; similarity leads there from the photo's pixels on those axes."""

    face: Floats
    similarity: Similarity

    def in_photo(self, points: Floats) -> Floats:
        """Points (n, 3) in cm as pixels of the photo: x right, y down, z away."""
        pixels: Floats = self.similarity.invert(points) * PHOTO_AXES
        return pixels


def fit(landmarks: Floats) -> Fit:
    """landmarks (468, 3) in pixels of the photo."""
    canonical = canonical_face()
    source = landmarks * PHOTO_AXES
    similarity = procrustes(
        source[canonical.anchors], canonical.vertices[canonical.anchors], weights=canonical.anchor_weights
    )
    face = (1 - CANONICAL_SHARE) * similarity.apply(source) + CANONICAL_SHARE * canonical.vertices
    return Fit(face, similarity)


def procrustes(source: Floats, target: Floats, *, weights: Floats) -> Similarity:
    """The similarity with the least weighted squared error, never a reflection. Points (n, 3).

    S. Umeyama, Least-squares estimation of transformation parameters between two point patterns, 1991, with weights.
    """
    weights = weights / weights.sum()
    source_mean, target_mean = weights @ source, weights @ target
    centred_source, centred_target = source - source_mean, target - target_mean
    left, singular, right = np.linalg.svd((centred_target * weights[:, None]).T @ centred_source)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = (left * signs) @ right
    scale = float(singular @ signs / (weights @ (centred_source**2).sum(axis=1)))
    return Similarity(scale, rotation, target_mean - scale * rotation @ source_mean)
