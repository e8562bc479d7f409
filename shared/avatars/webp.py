"""WebP: its pixels, without Pillow's own copy beside those of the decoder."""

import struct
from collections.abc import Iterator

from PIL import Image
from PIL.WebPImagePlugin import WebPImageFile

MAGIC = b"RIFF"
FORMAT = "WEBP"
_MAX_CHUNKS = 1000


def bare(upload: bytes) -> bytes:
    """The file as it is: nothing of its metadata is unpacked.

    Raises ValueError when it has more chunks than any picture needs: the decoder notes each of them.
    """
    for _ in _chunks(upload):
        pass
    return upload


def exif(upload: bytes) -> bytes:
    """What the file says of its camera; empty when it says nothing."""
    return next((upload[start:end] for kind, start, end in _chunks(upload) if kind == b"EXIF"), b"")


def decoding_takes(image: Image.Image) -> int:
    """Bytes needed to read the image: two canvases of the decoder, and what it gives."""
    return 3 * 4 * image.width * image.height


def pixels(image: WebPImageFile) -> Image.Image:
    """The picture. Its decoder is gone afterwards, with the canvases it has for moving pictures, and so is `info`.

    Raises TypeError when the file is broken.
    """
    image.info.clear()
    data, _ = image._decoder.get_next()
    del image._decoder
    return Image.frombuffer(image.rawmode, image.size, data, "raw", image.rawmode, 0, 1)


def _chunks(upload: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the data of each chunk."""
    at, all_ends = 12, min(len(upload), 8 + int.from_bytes(upload[4:8], "little"))
    for _ in range(_MAX_CHUNKS):
        if at + 8 > all_ends:
            return
        kind, length = struct.unpack_from("<4sI", upload, at)
        yield kind, at + 8, at + 8 + length
        at += 8 + length + length % 2
    raise ValueError("too many chunks")
