"""Finding the one face an avatar is made of, small or turned as it may be in the photo."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from local.agent.arrays import Floats
from local.agent.detection import Detection, FaceDetector
from local.agent.landmarks import FaceMesh, Landmarks
from local.agent.photo import NoFace

TILES = ((0.6, 3), (0.35, 5))  # side of a tile over the picture's longest side, tiles across and down
MIN_TILE = 48
TILE_THRESHOLD = 0.6
CANDIDATES = 4  # detections of one level that are given to FaceMesh
SURE = 0.75  # a score that ends the search through smaller tiles
CERTAIN = 0.85  # a score that, on an upright face, ends the search through quarter turns
ACCEPTED, ACCEPTED_TURNED = 0.6, 0.75  # a picture turned by us shows more false faces


@dataclass(frozen=True)
class Face:
    """image: the picture with the face upright; landmarks (468, 3) in its pixels; score 0..1 of the detection."""

    image: Image.Image
    landmarks: Floats
    score: float


@dataclass(frozen=True)
class _Match:
    score: float
    turn: int
    landmarks: Landmarks

    @property
    def certain(self) -> bool:
        return self.landmarks.upright and self.score > CERTAIN

    @property
    def rank(self) -> tuple[bool, float]:
        return self.landmarks.upright, self.score

    @property
    def accepted(self) -> bool:
        return self.score >= (ACCEPTED_TURNED if self.turn else ACCEPTED)


class FaceFinder:
    def __init__(self) -> None:
        self._detector = FaceDetector()
        self._mesh = FaceMesh()

    def find(self, image: Image.Image) -> Face:
        """The largest clear face, as the picture stands or after quarter turns. Raises NoFace."""
        best: _Match | None = None
        for turn in (0, 90, 270, 180):
            match = self._match(_turned(image, turn), turn)
            if match and (best is None or match.rank > best.rank):
                best = match
            if match and match.certain:
                break
        if best is None or not best.accepted:
            raise NoFace("no face was found in the photo")
        return Face(_turned(image, best.turn), best.landmarks.points, best.score)

    def _match(self, image: Image.Image, turn: int) -> _Match | None:
        best: _Match | None = None
        for detections in self._levels(image):
            match = self._largest(image, detections[:CANDIDATES], turn)
            if match and (best is None or match.score > best.score):
                best = match
            if best and best.score >= SURE:
                break
        return best

    def _levels(self, image: Image.Image) -> Iterator[list[Detection]]:
        """Detections in the whole picture, then in ever smaller tiles: BlazeFace misses small faces."""
        yield self._detector.detect(image)
        for share, count in TILES:
            side = int(max(image.size) * share)
            if side < MIN_TILE:
                return
            found = [
                detection.moved(x, y)
                for x, y in _corners(image.size, side, count)
                for detection in self._detector.detect(
                    image.crop((x, y, min(image.width, x + side), min(image.height, y + side))),
                    threshold=TILE_THRESHOLD,
                )
            ]
            yield sorted(found, key=lambda detection: -detection.score)

    def _largest(self, image: Image.Image, detections: list[Detection], turn: int) -> _Match | None:
        for detection in sorted(detections, key=lambda detection: -detection.area):
            if landmarks := self._mesh.follow(image, detection):
                return _Match(detection.score, turn, landmarks)
        return None


def _corners(size: tuple[int, int], side: int, count: int) -> list[tuple[int, int]]:
    """Upper left corners of overlapping tiles, row by row."""
    across, down = (np.unique(np.linspace(0, max(0, length - side), count).astype(int)) for length in size)
    return [(int(x), int(y)) for y in down for x in across]


def _turned(image: Image.Image, degrees: int) -> Image.Image:
    """Counter-clockwise."""
    return image.rotate(degrees, expand=True) if degrees else image
