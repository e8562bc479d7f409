"""Where faces are in a picture: BlazeFace (short range), which sees faces larger than about a tenth of the picture."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from local.agent.arrays import Floats
from local.agent.network import Network, sigmoid

MODEL = "face_detection_short_range.tflite"
INPUT_SIDE = 128
ANCHOR_GRIDS = ((16, 2), (8, 6))  # cells a side, anchors in each cell: MediaPipe's face_detection_short_range
OVERLAP = 0.3  # detections that overlap more are one face (MediaPipe: min_suppression_threshold)
RIGHT_EYE, LEFT_EYE = 0, 1  # keypoints, named from the person's side


@dataclass(frozen=True)
class Detection:
    """score 0..1; box (2, 2) as upper left and lower right; keypoints (6, 2). Floats of the picture."""

    score: float
    box: Floats
    keypoints: Floats

    def moved(self, x: int, y: int) -> "Detection":
        offset = np.array([x, y])
        return Detection(self.score, self.box + offset, self.keypoints + offset)

    @property
    def area(self) -> float:
        width, height = self.box[1] - self.box[0]
        return float(width * height)

    @property
    def tilt(self) -> float:
        """Angle of the line through the eyes, in radians, clockwise."""
        dx, dy = self.keypoints[LEFT_EYE] - self.keypoints[RIGHT_EYE]
        return float(np.arctan2(dy, dx))


class FaceDetector:
    def __init__(self) -> None:
        self._network = Network(MODEL)
        self._anchors = _anchors()

    def detect(self, image: Image.Image, *, threshold: float = 0.5) -> list[Detection]:
        """Faces with at least this score, best first."""
        side = max(image.size)
        outputs = {output.shape[-1]: output for output in self._network.run(_letterboxed(image))}
        scores = sigmoid(outputs[1][:, 0])
        likely = scores >= threshold
        raw = outputs[16][likely].astype(np.float64) / INPUT_SIDE
        anchors = self._anchors[likely]
        centres, sizes = raw[:, 0:2] + anchors, raw[:, 2:4]
        boxes = np.stack([centres - sizes / 2, centres + sizes / 2], axis=1)
        keypoints = raw[:, 4:].reshape(-1, 6, 2) + anchors[:, None]
        margin = (side - np.array(image.size)) / 2
        return [
            Detection(face.score, face.box * side - margin, face.keypoints * side - margin)
            for face in _merged(scores[likely].astype(np.float64), boxes, keypoints)
        ]


def _anchors() -> Floats:
    """Cell centres the network's offsets are relative to: (896, 2), in 0..1."""
    grids = []
    for cells, repeat in ANCHOR_GRIDS:
        centres = (np.arange(cells) + 0.5) / cells
        y, x = np.meshgrid(centres, centres, indexing="ij")
        grids.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), repeat, axis=0))
    return np.concatenate(grids)


def _letterboxed(image: Image.Image) -> Floats:
    """The picture scaled into the middle of a black square, in -1..1."""
    scale = INPUT_SIDE / max(image.size)
    width, height = (max(1, round(length * scale)) for length in image.size)
    square = Image.new("RGB", (INPUT_SIDE, INPUT_SIDE))
    corner = tuple(round((max(image.size) - length) / 2 * scale) for length in image.size)
    square.paste(image.resize((width, height), Image.Resampling.BILINEAR), (corner[0], corner[1]))
    return np.asarray(square, np.float32) / 127.5 - 1


def _merged(scores: Floats, boxes: Floats, keypoints: Floats) -> list[Detection]:
    """Weighted non-maximum suppression: what overlaps the best one is averaged with it, by score."""
    faces = []
    left = np.argsort(-scores, kind="stable")
    while len(left):
        same = _overlap(boxes[left[0]], boxes[left]) > OVERLAP
        same[0] = True
        group = left[same]
        weights = scores[group] / scores[group].sum()
        box = np.tensordot(weights, boxes[group], 1)
        faces.append(Detection(float(scores[left[0]]), box, np.tensordot(weights, keypoints[group], 1)))
        left = left[~same]
    return faces


def _overlap(box: Floats, boxes: Floats) -> Floats:
    """Intersection over union of one box with each of (n, 2, 2)."""
    upper, lower = np.maximum(box[0], boxes[:, 0]), np.minimum(box[1], boxes[:, 1])
    common = np.prod(np.clip(lower - upper, 0, None), axis=1)
    areas = np.prod(boxes[:, 1] - boxes[:, 0], axis=1)
    ratios: Floats = common / (np.prod(box[1] - box[0]) + areas - common + 1e-9)
    return ratios
