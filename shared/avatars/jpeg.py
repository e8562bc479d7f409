"""JPEG: its segments, and what its decoder has to hold."""

import re
from collections.abc import Iterator

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from avatars.colours import MAX_PROFILE_BYTES

MAGIC = b"\xff\xd8\xff"
FORMAT = "JPEG"
_SCAN, _END = 0xDA, 0xD9
_JFIF, _EXIF, _PROFILE, _ADOBE = 0xE0, 0xE1, 0xE2, 0xEE
_NEEDED = {*range(0xC0, 0xD0), 0xDB, 0xDD, _JFIF, _ADOBE}  # frame, tables, restarts; the last two name the colours
_MARKER = re.compile(rb"\xff([^\xff\0\x01\xd0-\xd8])")  # of a segment; in pixels there are only the others
_MAX_SCANS = 100  # a progressive file has about ten; each costs a walk over all pixels, however small it is
_MAX_SEGMENTS = 1000


def bare(upload: bytes) -> bytes:
    """The file with what its pixels and colours need, and no more: metadata can be made to fill the memory.

    Raises ValueError when there are no pixels, or more segments than any camera writes.
    """
    view, kept, profile, scans = memoryview(upload), [memoryview(MAGIC[:2])], list[memoryview](), list[int]()
    for marker, start, end in _segments(upload):
        if marker == _SCAN:
            scans.append(start)
        elif scans:
            continue
        elif marker in _NEEDED:
            kept.append(view[start:end])
        elif marker == _PROFILE and upload.startswith(b"ICC_PROFILE\0", start + 4):
            profile.append(view[start:end])
    if not 1 <= len(scans) <= _MAX_SCANS:
        raise ValueError(f"{len(scans)} scans")
    if sum(map(len, profile)) <= MAX_PROFILE_BYTES:
        kept[1:1] = profile
    return b"".join([*kept, view[scans[0] :]])


def exif(upload: bytes) -> bytes:
    """What the file says of its camera; empty when it says nothing."""
    for marker, start, end in _segments(upload):
        if marker == _EXIF and upload.startswith(b"Exif\0\0", start + 4):
            return upload[start + 4 : end]
    return b""


def decoding_takes(image: Image.Image, upload: bytes, scale: int) -> int:
    """Bytes needed to read the image at 1/scale of its size."""
    assert isinstance(image, JpegImageFile)
    pixels = image.width * image.height
    return 2 * _coefficients(image, upload) + 4 * pixels // scale**2


def _coefficients(image: JpegImageFile, upload: bytes) -> int:
    """How many are held at once: all of them, where a scan does not have all colours of its pixels to the full."""
    scan = next(start for marker, start, _ in _segments(upload) if marker == _SCAN)
    if upload[scan + 4] == image.layers and "progressive" not in image.info:
        return 0
    across, down = ([layer[which] for layer in image.layer] for which in (1, 2))
    blocks = sum(one * other for one, other in zip(across, down, strict=True))
    return image.width * image.height * blocks // max(max(across) * max(down), 1)


def _segments(upload: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment, up to the end of the picture."""
    at = 2
    for _ in range(_MAX_SEGMENTS):
        found = _MARKER.search(upload, at)
        if found is None or found[1][0] == _END or found.end() + 2 > len(upload):
            return
        at = found.end() + int.from_bytes(upload[found.end() : found.end() + 2])
        yield found[1][0], found.start(), at
    raise ValueError("too many segments")
