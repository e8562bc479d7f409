"""PNG: read some rows at a time, it is the same picture."""

import io
import random
import struct
import zlib
from itertools import pairwise

import pytest
from PIL import Image

from avatars import png
from tests.shared.avatars import corpus

SIZE = (70, 50)
MODES = {2: "RGB", 4: "LA", 6: "RGBA"}


def noise(colour: int, depth: int, *, interlaced: bool = False) -> bytes:
    """Every filter, on bytes by chance."""
    chance, rows = random.Random(colour + depth), []
    for x, y, x_step, y_step in corpus.ADAM7 if interlaced else ((0, 0, 1, 1),):
        count = len(range(x, SIZE[0], x_step)) * corpus.COLOURS[colour] * depth // 8
        rows += [bytes((chance.randrange(5),)) + chance.randbytes(count) for _ in range(y, SIZE[1], y_step)]
    return corpus.png(SIZE, b"".join(rows), depth=depth, colour=colour, interlaced=interlaced)


def whole(upload: bytes, mode: str) -> Image.Image:
    return Image.open(io.BytesIO(upload)).convert(mode)


def joined(upload: bytes, rows: int) -> bytes:
    return b"".join(band.tobytes() for band in png.bands(upload, Image.open(io.BytesIO(upload)), rows))


@pytest.mark.parametrize("rows", [1, 7, 50, 128])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("colour", MODES)
def test_the_rows_are_those_pillow_reads(colour: int, depth: int, rows: int) -> None:
    upload = noise(colour, depth)
    assert joined(upload, rows) == whole(upload, MODES[colour]).tobytes()


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("colour", MODES)
def test_every_second_row_of_an_interlaced_picture_comes_twice(colour: int, depth: int) -> None:
    upload = noise(colour, depth, interlaced=True)
    read, picture = joined(upload, 8), whole(upload, MODES[colour])
    second = [picture.crop((0, y, SIZE[0], y + 1)).tobytes() for y in range(1, SIZE[1], 2)]
    assert read == b"".join(row * 2 for row in second)


def test_the_image_data_may_be_in_many_chunks_some_empty() -> None:
    upload = noise(2, 8)
    at = upload.index(b"IDAT") - 4
    length = int.from_bytes(upload[at : at + 4])
    data = upload[at + 8 : at + 8 + length]
    cuts = [0, 0, 1, 2, 2, 500, 501, length]
    chunks = b"".join(corpus.chunk(b"IDAT", data[start:end]) for start, end in pairwise(cuts))
    assert joined(upload[:at] + chunks + upload[at + 12 + length :], 16) == joined(upload, 16)


@pytest.mark.parametrize("interlaced", [False, True])
def test_data_that_ends_too_early_is_told(interlaced: bool) -> None:
    upload = noise(2, 8, interlaced=interlaced)
    at = upload.index(b"IDAT") + 4
    data = zlib.decompress(upload[at:])
    for packed in (zlib.compress(data[:-1]), zlib.compress(data)[:-200], b""):
        with pytest.raises(EOFError):
            joined(upload[: at - 8] + corpus.chunk(b"IDAT", packed) + corpus.chunk(b"IEND", b""), 16)


def test_a_header_of_another_picture_is_told() -> None:
    upload, second = noise(2, 8), corpus.chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 8, 2, 0, 0, 0))
    image = Image.open(io.BytesIO(upload))
    with pytest.raises(ValueError, match="header"):
        next(png.bands(upload[:8] + second + upload[8:], image, 16))


def test_only_what_pixels_and_colours_need_is_left() -> None:
    image = Image.new("P", (64, 64))
    upload = corpus.encoded(image, transparency=3, icc_profile=corpus.SRGB, exif=corpus.camera(), dpi=(300, 300))
    text = corpus.chunk(b"tEXt", b"Author\0Ada")
    bare = png.bare(upload[:33] + text + upload[33:-12] + text + upload[-12:] + corpus.PAGE)
    kinds = [bare[at + 4 : at + 8] for at in _chunks(bare)]
    assert kinds == [b"IHDR", b"iCCP", b"PLTE", b"tRNS", b"IDAT", b"IEND"]


def test_a_picture_that_could_move_and_does_not_is_read() -> None:
    upload = corpus.encoded(corpus.gradient())
    for frames, moves in ((1, False), (2, True)):
        marked = upload[:33] + corpus.chunk(b"acTL", struct.pack(">II", frames, 0)) + upload[33:]
        if moves:
            with pytest.raises(ValueError, match="moving"):
                png.bare(marked)
        else:
            assert png.bare(marked) == upload


def _chunks(upload: bytes) -> list[int]:
    at, found = 8, list[int]()
    while at < len(upload):
        found.append(at)
        at += 12 + int.from_bytes(upload[at : at + 4])
    return found
