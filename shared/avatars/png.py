"""PNG: its chunks, and its rows some at a time. Pillow reads all at once, and colours for 40 megapixels take 160 MB."""

import io
import struct
import zlib
from collections.abc import Iterator

from PIL import Image

MAGIC = b"\x89PNG\r\n\x1a\n"
FORMAT = "PNG"
_NEEDED = (b"IHDR", b"PLTE", b"tRNS", b"iCCP", b"IDAT", b"IEND")
_MODES = {2: "RGB", 4: "LA", 6: "RGBA"}  # by colour type; the others are small enough to be read at once
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))  # x, y, their steps
_FEED = 64 * 1024


def bare(upload: bytes) -> bytes:
    """The file with what its pixels and colours need, and no more: metadata can be made to fill the memory.

    Raises ValueError for a moving picture and struct.error for a broken one.
    """
    view, seen, kept = memoryview(upload), set[bytes](), io.BytesIO()
    kept.write(MAGIC)
    for kind, start, end in _chunks(upload):
        if kind == b"IDAT" or (kind in _NEEDED and kind not in seen):
            kept.write(view[start - 8 : end + 4])
            seen.add(kind)
        elif kind == b"acTL" and struct.unpack_from(">I", upload, start)[0] > 1:
            raise ValueError("a moving picture")
    return kept.getvalue()


def exif(upload: bytes) -> bytes:
    """What the file says of its camera, before the pixels or behind them; empty when it says nothing."""
    return next((upload[start:end] for kind, start, end in _chunks(upload) if kind == b"eXIf"), b"")


def readable(image: Image.Image) -> bool:
    """Whether it has colours, and `bands` can read it."""
    return image.mode in _MODES.values()


def bands(upload: bytes, image: Image.Image, rows: int) -> Iterator[Image.Image]:
    """The picture from top to bottom, `rows` rows at a time, 16 bits cut to 8.

    The last pass of an interlaced one has every second row: these come twice, and all others are passed over.
    Raises EOFError, struct.error, ValueError or zlib.error when the file is broken.
    """
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", upload, len(MAGIC) + 8)
    if (width, height) != image.size or depth not in (8, 16) or colour not in _MODES:
        raise ValueError("the header is not where it belongs")
    mode = _MODES[colour]
    sample = len(mode) * depth // 8
    data = _Inflated(upload)
    if interlaced:
        data.skip(sum(_pass_bytes(width, height, sample, *steps) for steps in _PASSES))
        height //= 2
    above = bytes(width * len(mode))
    for top in range(0, height, rows):
        size = (width, min(rows, height - top))
        filtered = data.read(size[1] * (1 + width * sample))
        band = _unfiltered(mode, size, above, _high_bytes(filtered, size[1]) if depth == 16 else filtered)
        above = band.crop((0, size[1] - 1, *size)).tobytes()
        band.info = image.info
        yield band.resize((width, 2 * size[1]), Image.Resampling.NEAREST) if interlaced else band


def _chunks(upload: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the data of each chunk, up to the last or to where the file is cut off."""
    kind, at = b"", len(MAGIC)
    while kind != b"IEND" and at + 8 <= len(upload):
        length, kind = struct.unpack_from(">I4s", upload, at)
        yield kind, at + 8, at + 8 + length
        at += 12 + length


def _unfiltered(mode: str, size: tuple[int, int], above: bytes, filtered: bytes) -> Image.Image:
    """Filters refer to the row above, so it is put before the others for a moment, as one without a filter."""
    width, height = size
    data = zlib.compress(b"\0" + above + filtered, 0)
    return Image.frombytes(mode, (width, height + 1), data, "zip", mode, 0).crop((0, 1, width, height + 1))


def _high_bytes(filtered: bytes, rows: int) -> bytes:
    """Filters work byte by byte, so the high bytes of 16-bit samples alone are the same rows in 8 bits."""
    stride = len(filtered) // rows
    starts = range(0, len(filtered), stride)
    return b"".join(filtered[at : at + 1] + filtered[at + 1 : at + stride : 2] for at in starts)


def _pass_bytes(width: int, height: int, sample: int, x: int, y: int, x_step: int, y_step: int) -> int:
    columns, rows = -(-(width - x) // x_step), -(-(height - y) // y_step)
    return rows * (1 + columns * sample)


class _Inflated:
    """The image data, of which only as much is unpacked as is read."""

    def __init__(self, upload: bytes) -> None:
        self._packed = self._feeds(upload)
        self._zlib = zlib.decompressobj()
        self._left: bytes | memoryview = b""

    @staticmethod
    def _feeds(upload: bytes) -> Iterator[memoryview]:
        view = memoryview(upload)
        for kind, start, end in _chunks(upload):
            if kind == b"IDAT":
                yield from (view[at : min(at + _FEED, end)] for at in range(start, min(end, len(upload)), _FEED))

    def read(self, size: int) -> bytes:
        parts = []
        while size:
            feed = self._left or next(self._packed, b"")
            part = self._zlib.decompress(feed, size)
            self._left = self._zlib.unconsumed_tail
            if not part and (not feed or self._zlib.eof):
                raise EOFError("the image data ends before the image")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def skip(self, size: int) -> None:
        for at in range(0, size, _FEED):
            self.read(min(_FEED, size - at))
