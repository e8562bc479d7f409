"""Pixels: those of an opened image in sRGB, read with as little memory as its format allows."""

from collections.abc import Iterator

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from avatars import jpeg, png, webp
from avatars.colours import to_srgb

SCALES = (1, 2, 4, 8)
_ROWS = 128  # in a band; divisible by the scales


def reading_takes(image: Image.Image, upload: bytes, scale: int) -> int:
    """Bytes a decoder needs at once where these depend on more than `scale`, else 0."""
    match image:
        case JpegImageFile():
            return jpeg.decoding_takes(image, upload, scale)
        case WebPImageFile():
            return webp.decoding_takes(image)
    return 0


def in_srgb(image: Image.Image, upload: bytes, scale: int) -> Image.Image:
    """A new RGB image with each side divided by `scale`.

    It is put together band by band, so that there is never a second one of the size uploaded.
    """
    size = (image.width // scale, image.height // scale)
    if image.draft(None, size):
        size, scale = image.size, 1  # the decoder divides
    convert = to_srgb(image)
    kept, top = None, 0
    for band in _bands(image, upload, scale):
        kept = kept or Image.new("RGB", size)  # not before the decoder is done
        kept.paste(convert(band).reduce(scale), (0, top // scale))
        top += band.height
    assert kept is not None
    return kept


def _bands(image: Image.Image, upload: bytes, scale: int) -> Iterator[Image.Image]:
    if scale > 1 and isinstance(image, PngImageFile) and png.readable(image):
        yield from png.bands(upload, image, _ROWS)
        return
    whole = webp.pixels(image) if isinstance(image, WebPImageFile) else image
    for top in range(0, image.height, _ROWS):
        yield whole.crop((0, top, image.width, min(top + _ROWS, image.height)))
