"""Exif: the one thing a photo's metadata is read for, how the camera was held."""

import struct

_ORDERS = {b"II": "<", b"MM": ">"}
_ORIENTATION = 0x0112
_NUMBERS = {1: "B", 3: "H", 4: "I"}  # by TIFF type


def orientation(data: bytes) -> int:
    """From 1 (upright) to 8; 1 where nothing is said, or nothing that can be understood."""
    tiff = data.removeprefix(b"Exif\0\0")
    try:
        order = _ORDERS[tiff[:2]]
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, directory)
        for at in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", tiff, at)
            if tag == _ORIENTATION:
                (value,) = struct.unpack_from(order + _NUMBERS[kind], tiff, at + 8)
                return value if 1 <= value <= 8 else 1
    except (KeyError, struct.error):
        pass
    return 1
