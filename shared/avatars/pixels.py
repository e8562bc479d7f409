"""Pixels: all that is kept of a photo, decoded, upright, in sRGB. Takes Pillow, which few functions have."""

import io
import re
import struct
import threading
import warnings
import zlib

from PIL import Image, PngImagePlugin
from PIL.ExifTags import Base
from PIL.JpegImagePlugin import JpegImageFile

from avatars import heap
from avatars.colours import to_srgb
from avatars.photos import (
    MAX_BYTES,
    MAX_PIXELS,
    MAX_SIDE,
    MIN_SIDE,
    BodyTooLarge,
    ImageTooLarge,
    ImageTooSmall,
    NotAnImage,
)

MAX_KEPT_SIDE = 4096
MAX_KEPT_PIXELS = 12_600_000
QUALITY = 92
# Where decoding takes more memory, less is decoded: beside the largest upload there are 126 MB for pixels.
MAX_PIXELS_WEBP = 7_500_000  # 16 bytes, and two more copies of the file
MAX_PIXELS_PNG = {"RGB": 25_000_000, "RGBA": 25_000_000, "LA": 25_000_000}  # 4 bytes, and 1 of what is kept
MAX_PIXELS_IN_SCANS = {"RGB": 18_000_000, "CMYK": 10_000_000}  # 2 bytes a colour, held until the last scan is read
PngImagePlugin.MAX_TEXT_MEMORY = 8 * 1024 * 1024
_ROWS = 128  # converted at once; divisible by all scales
_MAX_EXIF = 1_000_000
_MAX_CHUNKS = 20_000  # of a PNG: Pillow keeps those it does not know
# What costs time or memory by its number in a JPEG: scans, frames, Exif and other segments.
_BOMBS = {
    re.compile(rb"\xff\xda\0"): 100,
    re.compile(rb"\xff[\xc0-\xcf]..\x08", re.DOTALL): 50,
    re.compile(rb"\xff\xe1..Exif\0", re.DOTALL): 20,
    re.compile(rb"\xff[\xe0-\xfe]"): 20_000,
}
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PILLOW = re.compile(r"PIL\.")
_FILTERS = threading.Lock()
# What is known to be raised on bytes that are no image, or a broken one.
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, TypeError, struct.error, zlib.error)


def as_jpeg(upload: bytes) -> bytes:
    """A JPEG made anew from the pixels of an upload, whatever it says it is.

    Raises NotAnImage, BodyTooLarge, ImageTooLarge or ImageTooSmall.
    """
    if len(upload) > MAX_BYTES:
        raise BodyTooLarge
    heap.give_back_large_blocks()
    _ignore_what_pillow_warns_of()
    try:
        picture, orientation = _decode(upload)
    except Image.DecompressionBombError as error:
        raise ImageTooLarge from error
    except _UNREADABLE as error:
        raise NotAnImage from error
    if orientation in UPRIGHT:
        picture = picture.transpose(UPRIGHT[orientation])
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=QUALITY)
    return encoded.getvalue()


def _ignore_what_pillow_warns_of() -> None:
    """For good: `catch_warnings` would let threads overwrite each other's filters, and those of everybody else."""
    with _FILTERS:
        if ("ignore", None, Warning, _PILLOW, 0) not in warnings.filters:
            warnings.filterwarnings("ignore", module=_PILLOW.pattern)


def _decode(upload: bytes) -> tuple[Image.Image, object]:
    """The pixels that are kept, and how the camera was held."""
    with _jpeg(upload) if upload.startswith(b"\xff\xd8") else _png_or_webp(upload) as image:
        _check_size(image, MAX_PIXELS)
        return _in_srgb(image), _orientation(image)


def _jpeg(upload: bytes) -> Image.Image:
    if any(sum(1 for _ in what.finditer(upload)) > most for what, most in _BOMBS.items()):
        raise NotAnImage
    stream = io.BytesIO(upload)
    image = JpegImageFile(stream)  # Image.open would look at the other pictures of a phone's as well
    colours = len(image.getbands())
    scan = struct.pack(">HHB", 0xFFDA, 6 + 2 * colours, colours)  # the one of a baseline JPEG, which was read just now
    if "progressive" in image.info or not upload.startswith(scan, max(stream.tell() - 8 - 2 * colours, 0)):
        _check_size(image, MAX_PIXELS_IN_SCANS.get(image.mode, MAX_PIXELS), "progressive JPEG")
    return image


def _png_or_webp(upload: bytes) -> Image.Image:
    if upload.startswith(b"\x89PNG") and _chunks(upload) > _MAX_CHUNKS:
        raise NotAnImage
    image = Image.open(io.BytesIO(upload), formats=["PNG", "WEBP"])
    if getattr(image, "is_animated", False):
        raise NotAnImage
    if image.format == "WEBP":
        _check_size(image, MAX_PIXELS_WEBP, "WebP")
    else:
        _check_size(image, MAX_PIXELS_PNG.get(image.mode, MAX_PIXELS), "PNG in colour")
    return image


def _chunks(png: bytes) -> int:
    count, at = 0, 8
    while png[at + 4 : at + 8] not in (b"IEND", b""):
        at += 12 + int.from_bytes(png[at : at + 4])
        count += 1
    return count


def _check_size(image: Image.Image, most: int, kind: str = "") -> None:
    pixels = image.width * image.height
    if pixels > MAX_PIXELS or max(image.size) > MAX_SIDE:
        raise ImageTooLarge
    if pixels > most:
        raise ImageTooLarge(f"A {kind} may have at most {most / 1_000_000:g} megapixels: send a baseline JPEG")
    if min(image.size) < MIN_SIDE:
        raise ImageTooSmall


def _in_srgb(image: Image.Image) -> Image.Image:
    """A new RGB image of the size that is kept, put together some rows at a time."""
    scale = _scale(*image.size)
    if image.draft(None, (image.width // scale, image.height // scale)):
        scale = 1  # the decoder divides
    image.load()
    convert = to_srgb(image)
    kept = Image.new("RGB", (-(-image.width // scale), -(-image.height // scale)))
    for top in range(0, image.height, _ROWS):
        band = image.crop((0, top, image.width, min(top + _ROWS, image.height)))
        kept.paste(convert(band).reduce(scale), (0, top // scale))
    return kept


def _scale(width: int, height: int) -> int:
    """What the sides are divided by: the least that makes the picture small enough to be kept."""
    return next(
        scale
        for scale in (1, 2, 4, 8)
        if max(width, height) <= scale * MAX_KEPT_SIDE and width * height <= scale**2 * MAX_KEPT_PIXELS
    )


def _orientation(image: Image.Image) -> object:
    """One of UPRIGHT where it is said that the picture is not, and said in a way that can be understood."""
    if len(image.info.get("exif", b"")) > _MAX_EXIF:
        return None
    try:
        return image.getexif().get(Base.Orientation)
    except _UNREADABLE:
        return None
