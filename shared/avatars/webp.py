"""WebP: its pixels, without Pillow's own copy beside those of the decoder."""

import struct

from PIL import Image
from PIL.WebPImagePlugin import WebPImageFile

MAGIC = b"RIFF"
FORMAT = "WEBP"


def bare(upload: bytes) -> bytes:
    """The file as it is: nothing of its metadata is unpacked."""
    return upload


def exif(upload: bytes) -> bytes:
    """What the file says of its camera; empty when it says nothing."""
    at = 12
    while at + 8 <= len(upload):
        kind, length = struct.unpack_from("<4sI", upload, at)
        if kind == b"EXIF":
            return upload[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
    return b""


def decoding_takes(image: Image.Image) -> int:
    """Bytes needed to read the image: two canvases of the decoder, and what it gives."""
    return 3 * 4 * image.width * image.height


def pixels(image: WebPImageFile) -> Image.Image:
    """The picture. Its decoder is gone afterwards, and with it the canvases it has for moving pictures.

    Raises TypeError when the file is broken.
    """
    data, _ = image._decoder.get_next()
    del image._decoder
    return Image.frombuffer(image.rawmode, image.size, data, "raw", image.rawmode, 0, 1)
