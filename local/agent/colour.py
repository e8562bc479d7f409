"""Colours taken from the photo: skin and hair. Values are sRGB, 0..255."""

import numpy as np
from PIL import Image, ImageDraw

from local.agent.arrays import Bytes, Floats, Mask
from local.agent.landmarks import CHIN, FOREHEAD

# Outlines by landmark number, away from eyes, nostrils, lips and beard.
RIGHT_CHEEK = (117, 118, 101, 36, 205, 187, 123)
LEFT_CHEEK = (346, 347, 330, 266, 425, 411, 352)
BROW = (67, 109, 10, 338, 297, 333, 299, 9, 69, 104)
HAIRLINE = (54, 103, 67, 109, 10, 338, 297, 332, 284)
ABOVE_HAIRLINE = np.linspace(0.06, 0.16, 6)  # in face heights
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])  # Rec. 709
WITHOUT_SHADOW_AND_SHINE = (25, 85)  # percentiles of luminance
MIN_SKIN_PIXELS = 20
MIN_HAIR_PIXELS = 9
HAIR_TO_SKIN = 0.5  # where the photo shows no hair


def skin(photo: Bytes, landmarks: Floats) -> Floats:
    """(3,): the median of cheeks and forehead, without shadows and highlights."""
    pixels = photo[_inside(photo.shape, landmarks)]
    if len(pixels) < MIN_SKIN_PIXELS:
        pixels = _at(photo, landmarks[:, :2])
    luminance = pixels @ LUMINANCE
    dark, bright = np.percentile(luminance, WITHOUT_SHADOW_AND_SHINE)
    colour: Floats = np.median(pixels[(luminance >= dark) & (luminance <= bright)], axis=0)
    return colour


def hair(photo: Bytes, landmarks: Floats, skin_colour: Floats) -> Floats:
    """(3,): the median of a band above the forehead; a darker skin where that is outside of the photo."""
    up = landmarks[FOREHEAD, :2] - landmarks[CHIN, :2]
    band = landmarks[list(HAIRLINE), None, :2] + ABOVE_HAIRLINE[:, None] * up
    pixels = _at(photo, band.reshape(-1, 2))
    if len(pixels) < MIN_HAIR_PIXELS:
        darker: Floats = skin_colour * HAIR_TO_SKIN
        return darker
    colour: Floats = np.median(pixels, axis=0)
    return colour


def hexadecimal(colour: Floats) -> str:
    """`#rrggbb`."""
    return "#" + "".join(f"{round(float(channel)):02x}" for channel in np.clip(colour, 0, 255))


def _inside(shape: tuple[int, ...], landmarks: Floats) -> Mask:
    mask = Image.new("L", (shape[1], shape[0]))
    draw = ImageDraw.Draw(mask)
    for outline in (RIGHT_CHEEK, LEFT_CHEEK, BROW):
        draw.polygon([(float(x), float(y)) for x, y in landmarks[list(outline), :2]], fill=255)
    return np.asarray(mask) > 0


def _at(photo: Bytes, points: Floats) -> Bytes:
    """The pixels under those of the points (n, 2) that lie in the photo."""
    height, width = photo.shape[:2]
    x, y = points.astype(np.int64).T
    seen = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    pixels: Bytes = photo[y[seen], x[seen]]
    return pixels
