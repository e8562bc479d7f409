"""Photos: what may be uploaded, and what is kept of it — the pixels, upright, in sRGB, and nothing else."""

import io
import struct
import uuid
import warnings
import zlib

from PIL import ExifTags, Image, ImageCms

from avatars.owners import Owner
from avatars.refusals import Refusal

MAX_BYTES = 10 * 1024 * 1024
MAX_PIXELS = 40_000_000
MAX_SIDE = 8192
MIN_SIDE = 64
MAX_PROFILE_BYTES = 2_000_000
FORMATS = ("JPEG", "PNG", "WEBP")
STILL_FORMATS = (*FORMATS, "MPO")  # what a phone calls a JPEG with a depth map behind it
CONTENT_TYPE = "image/jpeg"
QUALITY = 92
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow is known to raise on bytes that are no image, or a broken one.
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, TypeError, struct.error, zlib.error)


class NotAnImage(Refusal):
    """Neither JPEG, PNG nor WebP by its content, or broken, or moving."""

    status = 415
    code = "NOT_AN_IMAGE"
    title = "Only image files are accepted"


class BodyTooLarge(Refusal):
    status = 413
    code = "BODY_TOO_LARGE"
    title = f"The photo may have at most {MAX_BYTES // 1024 // 1024} MB"


class ImageTooLarge(Refusal):
    status = 413
    code = "IMAGE_TOO_LARGE"
    title = f"The photo may have at most {MAX_PIXELS // 1_000_000} megapixels and {MAX_SIDE} pixels a side"


class ImageTooSmall(Refusal):
    status = 422
    code = "IMAGE_TOO_SMALL"
    title = f"The photo must have at least {MIN_SIDE} pixels a side"


def accept(upload: bytes) -> bytes:
    """A JPEG made anew from the pixels of an upload, whatever it says it is.

    Raises NotAnImage, BodyTooLarge, ImageTooLarge or ImageTooSmall.
    """
    if len(upload) > MAX_BYTES:
        raise BodyTooLarge
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            pixels = _decode(upload)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise ImageTooLarge from error
        except UNREADABLE as error:
            raise NotAnImage from error
    encoded = io.BytesIO()
    pixels.save(encoded, "JPEG", quality=QUALITY)
    return encoded.getvalue()


def object_key(owner: Owner) -> str:
    """A fresh key for a photo of this owner; nothing in it comes from the client."""
    if owner.api_key_id is not None:
        folder = f"key-{owner.api_key_id}"
    elif owner.user_id is not None:
        folder = f"user-{owner.user_id}"
    else:
        folder = "anonymous"
    return f"{folder}/{uuid.uuid4()}.jpg"


def _decode(upload: bytes) -> Image.Image:
    with Image.open(io.BytesIO(upload), formats=FORMATS) as image:
        _check_size(image.width, image.height)
        if image.format not in STILL_FORMATS or (image.format != "MPO" and getattr(image, "is_animated", False)):
            raise NotAnImage
        image.load()
        orientation = image.getexif().get(ExifTags.Base.Orientation)
        profile = image.info.get("icc_profile")
        pixels = _to_srgb(_flatten(image), profile)
    if orientation in UPRIGHT:
        pixels = pixels.transpose(UPRIGHT[orientation])
    pixels.info = {}  # Pillow would write comments and resolution into the JPEG again
    return pixels


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise ImageTooLarge
    if min(width, height) < MIN_SIDE:
        raise ImageTooSmall


def _flatten(image: Image.Image) -> Image.Image:
    """To L, CMYK or RGB: 16 bits scaled to 8, transparency laid on white."""
    if image.mode.startswith("I"):
        return image.point(lambda value: value * (1 / 256)).convert("L")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        on_white = Image.new("RGB", image.size, "white")
        on_white.paste(rgba, mask=rgba.getchannel("A"))
        return on_white
    return image if image.mode in ("L", "CMYK", "RGB") else image.convert("RGB")


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """By the embedded profile where it has a usable one; most photos have none and are sRGB already."""
    if profile and len(profile) <= MAX_PROFILE_BYTES:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, *UNREADABLE):
            converted = None  # a damaged profile, or one for other channels
        if converted is not None:
            return converted
    return image.convert("RGB")
