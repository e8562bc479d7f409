"""The 468 landmarks of one face: FaceMesh, run on a rotated square of the picture around the face."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from local.agent.arrays import Floats
from local.agent.detection import Detection
from local.agent.network import Network, sigmoid

MODEL = "face_landmark.tflite"
INPUT_SIDE = 192
COUNT = 468
MARGIN = 1.5  # side of the square over the extent of the face, as in MediaPipe
REFINEMENTS = 2
MIN_SCORE = 0.5
RIGHT_EYE_CORNER, LEFT_EYE_CORNER = 33, 263  # outer corners, named from the person's side
FOREHEAD, CHIN = 10, 152


@dataclass(frozen=True)
class Region:
    """A square in the picture: centre and side in pixels, rotation in radians, clockwise."""

    x: float
    y: float
    side: float
    rotation: float


@dataclass(frozen=True)
class Landmarks:
    """score 0..1; points (468, 3) in pixels: x right, y down, z away from the viewer, by the same scale."""

    score: float
    points: Floats

    @property
    def tilt(self) -> float:
        """Angle of the line through the eyes, in radians, clockwise."""
        dx, dy = self.points[LEFT_EYE_CORNER, :2] - self.points[RIGHT_EYE_CORNER, :2]
        return math.atan2(dy, dx)

    @property
    def upright(self) -> bool:
        """Whether the head is less than 45 degrees off the vertical, forehead up."""
        return abs(self.tilt) < math.radians(45) and bool(self.points[FOREHEAD, 1] < self.points[CHIN, 1])


class FaceMesh:
    def __init__(self) -> None:
        self._network = Network(MODEL)

    def follow(self, image: Image.Image, detection: Detection) -> Landmarks | None:
        """Landmarks of a detected face, refined from themselves; None where the network sees no face."""
        landmarks = self._locate(image, _around_detection(detection))
        for _ in range(REFINEMENTS):
            if landmarks.score < MIN_SCORE:
                break
            landmarks = self._locate(image, _around_landmarks(landmarks))
        return landmarks if landmarks.score >= MIN_SCORE else None

    def _locate(self, image: Image.Image, region: Region) -> Landmarks:
        square = np.asarray(_cut(image, region), np.float32) / 255
        score, points = sorted((output.ravel() for output in self._network.run(square)), key=len)
        local = points.reshape(COUNT, 3).astype(np.float64) / INPUT_SIDE * region.side
        x, y = (local[:, :2] - region.side / 2).T
        cosine, sine = math.cos(region.rotation), math.sin(region.rotation)
        turned = [region.x + x * cosine - y * sine, region.y + x * sine + y * cosine, local[:, 2]]
        return Landmarks(float(sigmoid(score)[0]), np.stack(turned, axis=1))


def _around_detection(detection: Detection) -> Region:
    x, y = detection.box.mean(axis=0)
    return Region(float(x), float(y), float(np.ptp(detection.box, axis=0).max()) * MARGIN, detection.tilt)


def _around_landmarks(landmarks: Landmarks) -> Region:
    cosine, sine = math.cos(landmarks.tilt), math.sin(landmarks.tilt)
    x, y = landmarks.points[:, 0], landmarks.points[:, 1]
    level = np.stack([x * cosine + y * sine, y * cosine - x * sine], axis=1)
    low, high = level.min(axis=0), level.max(axis=0)
    middle_x, middle_y = (low + high) / 2
    return Region(
        float(middle_x * cosine - middle_y * sine),
        float(middle_x * sine + middle_y * cosine),
        float((high - low).max()) * MARGIN,
        landmarks.tilt,
    )


def _cut(image: Image.Image, region: Region) -> Image.Image:
    """The region, turned level and scaled to the network's input. Black outside the picture."""
    shrink = max(1, int(region.side / INPUT_SIDE / 1.5))  # bilinear sampling alone would alias
    source = image.reduce(shrink) if shrink > 1 else image
    step = region.side / INPUT_SIDE / shrink
    a, b = math.cos(region.rotation) * step, -math.sin(region.rotation) * step
    c, d = -b, a
    half = INPUT_SIDE / 2
    origin_x, origin_y = region.x / shrink - (a + b) * half, region.y / shrink - (c + d) * half
    affine = (a, b, origin_x, c, d, origin_y)
    return source.transform((INPUT_SIDE, INPUT_SIDE), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)
