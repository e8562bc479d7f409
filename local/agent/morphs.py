"""Morph targets: displacements of the head's vertices for blinking, smiling, opening the jaw and raising the brows.

Landmark numbers are MediaPipe's; right and left are the person's.
"""

from dataclasses import dataclass

import numpy as np

from local.agent import head, shell
from local.agent.arrays import Floats


@dataclass(frozen=True)
class Eye:
    """Rows of seven landmarks, outer corner to inner: edge of the lid, its fold, the row above; the lower lid."""

    upper: tuple[int, ...]
    fold: tuple[int, ...]
    above: tuple[int, ...]
    lower: tuple[int, ...]


RIGHT_EYE = Eye(
    upper=(246, 161, 160, 159, 158, 157, 173),
    fold=(247, 30, 29, 27, 28, 56, 190),
    above=(113, 225, 224, 223, 222, 221, 189),
    lower=(7, 163, 144, 145, 153, 154, 155),
)
LEFT_EYE = Eye(
    upper=(466, 388, 387, 386, 385, 384, 398),
    fold=(467, 260, 259, 257, 258, 286, 414),
    above=(342, 445, 444, 443, 442, 441, 413),
    lower=(249, 390, 373, 374, 380, 381, 382),
)
LID_CLOSES, LOWER_LID_RISES = (
    0.92,
    0.04,
)  # shares of the eye's opening; together below 1, so that no triangle turns over
FOLD_FOLLOWS, ABOVE_FOLLOWS = 0.55, 0.12

LEFT_MOUTH_CORNER, RIGHT_MOUTH_CORNER = 291, 61
LEFT_CHEEK, RIGHT_CHEEK = 425, 205
UPPER_LIP, LOWER_LIP, CHIN = 13, 14, 152  # the lips' inner edges
LEFT_BROW, RIGHT_BROW, BETWEEN_BROWS = 334, 105, 9
JAW_DROP, JAW_BACK = 1.6, 0.4  # cm
JAW_HALF_WIDTH, JAW_SOFTNESS = 2.6, 2.2  # cm

RIM_FOLLOWS = np.clip(1 - np.arange(1, shell.RINGS + 1) / 5, 0, None)  # the shell's first rings give way with the rim


def morph_targets(face: Floats) -> dict[str, Floats]:
    """Displacements (n, 3) in cm of all vertices of the head, by name, for its face (468, 3) in cm."""
    moved = {
        "blinkLeft": _blink(face, LEFT_EYE),
        "blinkRight": _blink(face, RIGHT_EYE),
        "smile": _smile(face),
        "jawOpen": _jaw_open(face),
        "browUp": _brow_up(face),
    }
    rim = head.topology().rim
    return {name: np.concatenate([moves, head.over_shell(moves[rim], RIM_FOLLOWS)]) for name, moves in moved.items()}


def _blink(face: Floats, eye: Eye) -> Floats:
    """The upper lid comes down on the lower one and draws the skin above it along."""
    opening = face[list(eye.lower)] - face[list(eye.upper)]
    moves = np.zeros_like(face)
    moves[list(eye.upper)] = opening * LID_CLOSES
    moves[list(eye.fold)] = opening * FOLD_FOLLOWS
    moves[list(eye.above)] = opening * ABOVE_FOLLOWS
    moves[list(eye.lower)] = -opening * LOWER_LID_RISES
    return moves


def _smile(face: Floats) -> Floats:
    left, right = _near(face, LEFT_MOUTH_CORNER, 1.7), _near(face, RIGHT_MOUTH_CORNER, 1.7)
    cheeks = _near(face, LEFT_CHEEK, 1.6) + _near(face, RIGHT_CHEEK, 1.6)
    return left * (0.75, 0.75, -0.35) + right * (-0.75, 0.75, -0.35) + cheeks * (0, 0.25, 0.25)


def _jaw_open(face: Floats) -> Floats:
    """Everything below the line between the lips goes down, most at the chin, little at the jaw's sides."""
    x, y = face[:, 0], face[:, 1]
    between_lips = (face[UPPER_LIP, 1] + face[LOWER_LIP, 1]) / 2
    depth = (face[LOWER_LIP, 1] + 0.2 - y) / (face[LOWER_LIP, 1] - face[CHIN, 1])
    sides = np.exp(-((np.maximum(np.abs(x) - JAW_HALF_WIDTH, 0) / JAW_SOFTNESS) ** 2))
    share = np.clip(depth, 0.55, 1) * sides * (y < between_lips - 0.01)
    moves: Floats = share[:, None] * (0, -JAW_DROP, -JAW_BACK)
    return moves


def _brow_up(face: Floats) -> Floats:
    brows = _near(face, RIGHT_BROW, 1.5) + _near(face, LEFT_BROW, 1.5) + 0.7 * _near(face, BETWEEN_BROWS, 1.6)
    return brows * (0, 0.7, 0.05)


def _near(face: Floats, landmark: int, radius: float) -> Floats:
    """(468, 1): 1 at the landmark, falling off with the distance as a Gaussian of this radius in cm."""
    distances = ((face - face[landmark]) ** 2).sum(axis=1)
    weights: Floats = np.exp(-distances / (2 * radius**2))[:, None]
    return weights
