"""The smallest files that the functions take: a photo and a model."""

import io
import struct

from PIL import Image


def photo() -> bytes:
    """A JPEG."""
    out = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(out, "JPEG")
    return out.getvalue()


def model() -> bytes:
    """A GLB."""
    text = b'{"asset": {"version": "2.0"}}   '
    return struct.pack("<4sIII4s", b"glTF", 2, 20 + len(text), len(text), b"JSON") + text
