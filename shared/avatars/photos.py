"""Photos: what may be uploaded, and what is kept of it — the pixels, upright, in sRGB, and nothing else."""

import io
import struct
import uuid
import warnings
import zlib

from PIL import Image

from avatars import exif, heap, jpeg, pixels, png, webp
from avatars.owners import Owner
from avatars.refusals import Refusal

MAX_BYTES = 10 * 1024 * 1024
MAX_PIXELS = 40_000_000
MAX_SIDE = 8192
MIN_SIDE = 64
MAX_KEPT_SIDE = 4096
MAX_KEPT_PIXELS = 12_600_000
MAX_MEMORY = 186_000_000  # of one photo on its way; a warm function takes 100 MB, and all together less than 300
COPIES = 6  # of the upload: the event and what is taken out of it, layer by layer
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
# What is known to be raised on bytes that are no image, or a broken one.
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
    """The photo has more pixels than are decoded, however small its file is. Scale it down and send it again."""

    status = 413
    code = "IMAGE_TOO_LARGE"
    title = f"The photo may have at most {MAX_PIXELS // 1_000_000} megapixels and {MAX_SIDE} pixels a side"


class ImageTooSmall(Refusal):
    """The photo has too few pixels for a face to be found in it. Take a larger one."""

    status = 422
    code = "IMAGE_TOO_SMALL"
    title = f"The photo must have at least {MIN_SIDE} pixels a side"


def accept(upload: bytes) -> bytes:
    """A JPEG made anew from the pixels of an upload, whatever it says it is.

    Raises NotAnImage, BodyTooLarge, ImageTooLarge or ImageTooSmall.
    """
    if len(upload) > MAX_BYTES:
        raise BodyTooLarge
    heap.give_back_large_blocks()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            picture = _decode(upload)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise ImageTooLarge from error
        except UNREADABLE as error:
            raise NotAnImage from error
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=QUALITY)
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
    kind = next((kind for kind in (jpeg, png, webp) if upload.startswith(kind.MAGIC)), None)
    if kind is None:
        raise NotAnImage
    picture = _read(upload, kind.bare(upload), kind.FORMAT)
    orientation = exif.orientation(kind.exif(upload))
    return picture.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else picture


def _read(upload: bytes, bare: bytes, form: str) -> Image.Image:
    with Image.open(io.BytesIO(bare), formats=[form]) as image:
        _check_size(image.width, image.height)
        if getattr(image, "is_animated", False):
            raise NotAnImage
        return pixels.in_srgb(image, upload, _scale(image, upload))


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise ImageTooLarge
    if min(width, height) < MIN_SIDE:
        raise ImageTooSmall


def _scale(image: Image.Image, upload: bytes) -> int:
    """What the sides are divided by: the least that makes the picture small enough to be kept, and to be read."""
    width, height = image.size
    room = MAX_MEMORY - COPIES * len(upload)
    for scale in pixels.SCALES:
        small = max(width, height) <= scale * MAX_KEPT_SIDE and width * height <= scale**2 * MAX_KEPT_PIXELS
        if small and pixels.reading_takes(image, upload, scale) <= room:
            return scale
    raise ImageTooLarge(
        f"A {image.format} like this one takes too much memory to be read: send a baseline JPEG, or fewer pixels"
    )
