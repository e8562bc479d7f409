"""Exif: how the camera was held is understood from every camera, and nonsense is upright."""

import struct

import pytest

from avatars import exif
from tests.shared.avatars.corpus import camera


def tiff(order: str, kind: int, value: bytes, *, before: int = 0) -> bytes:
    """A directory with the orientation, `before` entries of which stand before it."""
    others = b"".join(struct.pack(f"{order}HHI4x", 0x0100, 3, 1) for _ in range(before))
    entry = struct.pack(f"{order}HHI", 0x0112, kind, 1) + value.ljust(4, b"\0")
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(f"{order}IH", 8, before + 1) + others + entry + bytes(4)


@pytest.mark.parametrize("way", range(1, 9))
def test_a_cameras_orientation_is_found(way: int) -> None:
    assert exif.orientation(camera(way)) == way


@pytest.mark.parametrize(("kind", "letter"), [(1, "B"), (3, "H"), (4, "I")])
@pytest.mark.parametrize("order", ["<", ">"])
def test_any_byte_order_and_any_size_of_number_will_do(order: str, kind: int, letter: str) -> None:
    assert exif.orientation(tiff(order, kind, struct.pack(order + letter, 6), before=3)) == 6


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"Exif\0\0",
        b"XX*\0\x08\0\0\0",
        tiff("<", 3, b"\x06\0")[:-8],
        tiff("<", 3, b"\x09\0"),
        tiff("<", 3, b"\0\0"),
        tiff("<", 5, b"\x06\0"),
        tiff("<", 3, b"\x06\0", before=1)[:20],
        b"II*\0\xff\xff\xff\xff" + bytes(20),
        b"II*\0\x08\0\0\0\xff\xff",
    ],
)
def test_what_cannot_be_understood_is_upright(data: bytes) -> None:
    assert exif.orientation(data) == 1
