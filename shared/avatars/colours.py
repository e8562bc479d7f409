"""Colours: pixels of any mode, transparency and profile as plain sRGB."""

import io
from collections.abc import Callable

from PIL import Image, ImageCms

MAX_PROFILE_BYTES = 2_000_000
_KEPT_MODES = ("L", "CMYK", "RGB")


def to_srgb(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """What converts any part of an image: by its embedded profile where that is usable.

    Most photos have none and are sRGB already. 16 bits are scaled to 8, transparency is laid on white.
    """
    transform = _transform(image.info.get("icc_profile"), _flat_mode(image))

    def convert(part: Image.Image) -> Image.Image:
        flat = _flat(part)
        return flat.convert("RGB") if transform is None else transform.apply(flat)

    return convert


def _transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    if not profile or len(profile) > MAX_PROFILE_BYTES:
        return None
    try:
        return ImageCms.buildTransform(io.BytesIO(profile), ImageCms.createProfile("sRGB"), mode, "RGB")
    except ImageCms.PyCMSError:  # a damaged profile, or one for other channels
        return None


def _flat_mode(image: Image.Image) -> str:
    if image.mode.startswith("I"):
        return "L"
    return image.mode if image.mode in _KEPT_MODES and not image.has_transparency_data else "RGB"


def _flat(part: Image.Image) -> Image.Image:
    if part.mode.startswith("I"):
        return part.point(lambda value: value * (1 / 256)).convert("L")
    if part.has_transparency_data:
        rgba = part.convert("RGBA")
        on_white = Image.new("RGB", part.size, "white")
        on_white.paste(rgba, mask=rgba.getchannel("A"))
        return on_white
    return part if part.mode in _KEPT_MODES else part.convert("RGB")
