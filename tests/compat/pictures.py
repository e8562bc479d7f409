"""Photos made for a test: small, different every time, with or without a camera's metadata."""

import io
import secrets

from PIL import Image

GPS = 0x8825
ORIENTATION = 0x0112
MAKE = 0x010F
ROTATED = 6  # the camera was held upright: shown, the picture is turned by 90 degrees


def photo(form: str = "JPEG", *, size: tuple[int, int] = (320, 240)) -> bytes:
    small = Image.frombytes("RGB", (8, 6), secrets.token_bytes(8 * 6 * 3))
    out = io.BytesIO()
    small.resize(size).save(out, form)
    return out.getvalue()


def photo_with_place(*, size: tuple[int, int] = (320, 240)) -> bytes:
    """A JPEG that says which camera made it, where, and that it lies on its side."""
    picture = Image.open(io.BytesIO(photo(size=size)))
    exif = picture.getexif()
    exif[MAKE] = "Pocket Camera"
    exif[ORIENTATION] = ROTATED
    exif.get_ifd(GPS).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    out = io.BytesIO()
    picture.save(out, "JPEG", exif=exif)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture
