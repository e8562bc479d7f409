"""Painting the texture: the photo where it shows the head well, its mirror image or plausible colour elsewhere."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from local.agent import colour, head, shell
from local.agent.arrays import Bytes, Floats, Mask
from local.agent.atlas import Atlas
from local.agent.canonical import canonical_face
from local.agent.easing import smoothstep
from local.agent.fitting import PHOTO_AXES, Fit

GRAZING, FRONTAL = 0.05, 0.65  # z of the unit normal from which the photo shows a surface, and shows it well
ENOUGH_TRUST = 0.12  # below this a texel fades to a plausible colour
WELL_TRUSTED = 0.9
TEMPLES, EARS = 0.22, 0.34  # in the canonical layout; below the ears' upper end grazing texels show background
EDGE = 0.08  # of the face's height: how softly the photo ends
FEATHER = 1 / 110  # of the texture's side
CARRIED = 1 / 12  # of the texture's side: how far trusted colour reaches
CARRIED_BEHIND = 0.5  # share of the way to the pole after which it does not
COARSE = 8  # wide blurs are made on a picture smaller by this
NAPE_SHADE = 0.92  # under the hair the skin is darker than the face
HAIRLINE, HAIRLINE_FALL, HAIRLINE_SHARPNESS = 1.0, 0.35, 0.9  # cm above the origin, cm per cm of depth, 1/cm


@dataclass(frozen=True)
class Painting:
    """pixels (size, size, 3) uint8 sRGB; skin (3,) 0..255."""

    pixels: Bytes
    skin: Floats


class Painter:
    """Holds what does not depend on the photo. The size is in texels a side, a multiple of COARSE."""

    def __init__(self, size: int) -> None:
        topology = head.topology()
        self._atlas = Atlas(size, topology.uv, topology.triangles)
        self._caution = self._atlas.spread(_caution())
        self._hair = _shrunk(self._atlas.spread(_hair())[..., None])
        self._reach = _shrunk(self._atlas.spread(_reach())[..., None])

    def paint(self, image: Image.Image, landmarks: Floats, fit: Fit, vertices: Floats) -> Painting:
        """landmarks (468, 3) in pixels of the image; vertices (n, 3) of the fitted head in cm."""
        photo = np.asarray(image)
        skin = colour.skin(photo, landmarks)
        hair = colour.hair(photo, landmarks, skin)
        points = _in_photo(landmarks, fit, vertices)
        x, y = self._atlas.spread(points[:, 0]), self._atlas.spread(points[:, 1])
        margin = float(np.ptp(landmarks[:, 1])) * EDGE
        trust: Floats = self._atlas.spread(_facing(points)) * _inside(x, y, image.size, margin)
        pixels = _with_mirrored(self._unwrapped(photo, x, y, trust), trust)
        trust = np.maximum(trust, trust[:, ::-1])
        keep = 1 - (1 - smoothstep(trust / ENOUGH_TRUST)) * self._caution
        around = self._around(pixels, keep, skin, hair)
        mixed = around + (pixels - around) * _feathered(keep)[..., None]
        return Painting(mixed.clip(0, 255).astype(np.uint8), skin)

    def _unwrapped(self, photo: Bytes, x: Floats, y: Floats, trust: Floats) -> Floats:
        """(size, size, 3): the photo at x and y where it may be used; black elsewhere."""
        used = _feathered((np.maximum(trust, trust[:, ::-1]) > 0) | (self._caution < 1)) > 0
        pixels = np.zeros((*used.shape, 3), np.float32)
        pixels[used] = _sampled(photo, x[used], y[used])
        return pixels

    def _around(self, pixels: Floats, keep: Floats, skin: Floats, hair: Floats) -> Floats:
        """Trusted colour carried to its surroundings (normalised convolution), plausible colour far from it."""
        weight = (keep > WELL_TRUSTED)[..., None].astype(np.float32)
        blur = _gaussian(len(self._hair), len(self._hair) * CARRIED)
        near = _blurred(_shrunk(weight), blur)
        carried = _blurred(_shrunk(pixels * weight), blur) / (near + 1e-3)
        nape = skin * (1 - (1 - NAPE_SHADE) * (1 - self._reach))
        plausible = nape + (hair - nape) * self._hair
        share = np.clip(near * 4, 0, 1) * self._reach
        return _enlarged(plausible + (carried - plausible) * share, len(pixels))


def _in_photo(landmarks: Floats, fit: Fit, vertices: Floats) -> Floats:
    """(n, 3) pixels: the face lies on its landmarks; the shell follows the fit, joined to the rim without a step."""
    rim = head.topology().rim
    step = landmarks[rim] - fit.in_photo(vertices[rim])
    behind = fit.in_photo(vertices[len(landmarks) :]) + head.over_shell(step, 1 - shell.steps())
    return np.concatenate([landmarks, behind])


def _facing(points: Floats) -> Floats:
    """(n,) 0..1: how squarely the photo shows each vertex."""
    towards_viewer = head.normals(points * PHOTO_AXES)[:, 2]
    facing: Floats = np.clip((towards_viewer - GRAZING) / (FRONTAL - GRAZING), 0, 1) ** 2
    return facing


def _inside(x: Floats, y: Floats, size: tuple[int, int], margin: float) -> Floats:
    """0 outside of the photo, 1 from the margin (pixels) on."""
    distance = np.minimum(np.minimum(x, size[0] - x), np.minimum(y, size[1] - y))
    return np.clip(distance / margin, 0, 1)


def _caution() -> Floats:
    """(n,) 0..1: how far a vertex the photo shows badly is left to plausible colour. Hair at the temples is kept."""
    height = canonical_face().uv[:, 1]
    return _on_head((height - TEMPLES) / (EARS - TEMPLES), np.ones(shell.RINGS))


def _reach() -> Floats:
    """(n,) 0..1: how far colour of the photo is carried to a vertex."""
    return _on_head(np.ones(len(canonical_face().uv)), 1 - shell.steps() / CARRIED_BEHIND)


def _hair() -> Floats:
    """(n,) 0..1: where hair is plausible, above a line that falls towards the back."""
    vertices = head.closed(canonical_face().vertices)
    height, depth = vertices[:, 1], np.clip(-vertices[:, 2], 0, 8)
    hairy: Floats = 1 / (1 + np.exp(-HAIRLINE_SHARPNESS * (height - HAIRLINE + HAIRLINE_FALL * depth)))
    hairy[: len(canonical_face().vertices)] = 0
    return hairy


def _on_head(face: Floats, rings: Floats) -> Floats:
    """(n,) in 0..1 from values for the face (468,) and for the shell's rings."""
    return np.concatenate([face, np.repeat(rings, len(head.topology().rim))]).clip(0, 1)


def _sampled(photo: Bytes, x: Floats, y: Floats) -> Floats:
    """(n, 3): bilinear samples of (h, w, 3) at pixel positions (n,); the border's colour outside."""
    height, width = photo.shape[:2]
    x, y = np.clip(x - 0.5, 0, width - 1.001), np.clip(y - 0.5, 0, height - 1.001)
    column, row = x.astype(np.intp), y.astype(np.intp)
    across, down = (x - column)[:, None].astype(np.float32), (y - row)[:, None].astype(np.float32)
    flat, corner = photo.reshape(-1, 3).astype(np.float32), row * width + column
    upper, lower = flat.take(corner, axis=0), flat.take(corner + width, axis=0)
    upper += (flat.take(corner + 1, axis=0) - upper) * across
    lower += (flat.take(corner + width + 1, axis=0) - lower) * across
    samples: Floats = upper + (lower - upper) * down
    return samples


def _with_mirrored(pixels: Floats, trust: Floats) -> Floats:
    """What the photo shows badly comes from the other side of the head; both sides are mirror images in the layout."""
    own = trust + 0.02
    other = trust[:, ::-1] * np.clip(1 - 2 * trust, 0, 1)
    share = (other / (own + other))[..., None]
    mixed: Floats = pixels + (pixels[:, ::-1] - pixels) * share
    return mixed


def _shrunk(values: Floats) -> Floats:
    """Means of blocks: (size, size, c) to (size / COARSE, size / COARSE, c)."""
    side = len(values) // COARSE
    means: Floats = values.reshape(side, COARSE, side, COARSE, -1).mean(axis=(1, 3))
    return means


def _gaussian(side: int, radius: float) -> Floats:
    """(side, side): what each row takes from each, adding up to 1 away from the border."""
    distance = np.subtract.outer(np.arange(side), np.arange(side))
    kernel: Floats = np.exp(-(distance**2) / (2 * radius**2)) / (radius * np.sqrt(2 * np.pi))
    return kernel


def _blurred(values: Floats, blur: Floats) -> Floats:
    blurred: Floats = np.einsum("yi,xj,ijc->yxc", blur, blur, values, optimize=True)
    return blurred


def _enlarged(values: Floats, size: int) -> Floats:
    """(side, side, c) to (size, size, c)."""
    channels = [Image.fromarray(np.ascontiguousarray(channel, np.float32)) for channel in np.moveaxis(values, -1, 0)]
    enlarged = [np.asarray(channel.resize((size, size), Image.Resampling.BICUBIC)) for channel in channels]
    return np.stack(enlarged, axis=-1)


def _feathered(mask: Floats | Mask) -> Floats:
    """(size, size) in 0..1 with soft edges."""
    image = Image.fromarray((mask * 255).astype(np.uint8))
    soft: Floats = np.asarray(image.filter(ImageFilter.GaussianBlur(len(mask) * FEATHER)), np.float32) / 255
    return soft
