"""Reading the photo: decoded with limits, upright, RGB, and no larger than the texture can show."""

import io
import warnings

from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP")
MAX_PIXELS = 40_000_000
MIN_SIDE = 48  # a face in less has no features the networks could find
WORKING_SIDE = 2048  # longest side the face is looked for in


class UnusablePhoto(ValueError):
    """No avatar can be made of this photo; `code` is the reason a machine may match, the text is for people."""

    code = "IMAGE_UNREADABLE"


class PhotoTooSmall(UnusablePhoto):
    code = "IMAGE_TOO_SMALL"


class PhotoTooLarge(UnusablePhoto):
    code = "IMAGE_TOO_LARGE"


class NoFace(UnusablePhoto):
    code = "NO_FACE"


def read(data: bytes) -> Image.Image:
    """The photo as an upright RGB image. Raises UnusablePhoto."""
    image = _decode(data)
    if min(image.size) < MIN_SIDE:
        raise PhotoTooSmall(
            f"the photo has {image.width} x {image.height} pixels; at least {MIN_SIDE} a side are needed"
        )
    upright = ImageOps.exif_transpose(image).convert("RGB")
    if max(upright.size) > WORKING_SIDE:
        upright.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.LANCZOS)
    return upright


def _decode(data: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise PhotoTooLarge(f"the photo has more than {MAX_PIXELS // 1_000_000} megapixels")
        image.load()
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as exc:
        raise PhotoTooLarge(f"the photo has more than {MAX_PIXELS // 1_000_000} megapixels") from exc
    except UnidentifiedImageError as exc:
        raise UnusablePhoto("the file is not a JPEG, PNG or WebP image") from exc
    except (OSError, ValueError, SyntaxError) as exc:
        if isinstance(exc, UnusablePhoto):
            raise
        raise UnusablePhoto("the image is damaged") from exc
    return image
