"""Reading photos: limits, orientation, formats."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from local.agent import photo
from tests.local.agent.pictures import encoded


def gradient(width: int, height: int) -> Image.Image:
    rows = np.linspace(0, 255, height).astype(np.uint8)[:, None, None]
    return Image.fromarray(np.broadcast_to(rows, (height, width, 3)).copy())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_it_reads_the_formats_the_backend_accepts(kind: str) -> None:
    assert photo.read(encoded(gradient(80, 60), kind)).size == (80, 60)


def test_it_turns_the_photo_as_its_camera_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held a quarter turn to the left
    image = photo.read(encoded(gradient(80, 60), "JPEG", exif=exif, quality=95))
    assert image.size == (60, 80)
    left, right = (np.asarray(image)[:, columns].mean() for columns in (slice(0, 10), slice(-10, None)))
    assert left > right + 150


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_it_makes_three_channels_of_any(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    source = Image.new("I;16", (64, 64), 30000) if mode == "I;16" else gradient(64, 64).convert(mode)
    assert photo.read(encoded(source, kind)).mode == "RGB"


def test_a_large_photo_is_shrunk_to_what_the_texture_can_show() -> None:
    assert photo.read(encoded(gradient(3000, 1500), "JPEG")).size == (2048, 1024)


def test_a_tiny_photo_is_refused() -> None:
    with pytest.raises(photo.PhotoTooSmall, match="47 x 200") as refusal:
        photo.read(encoded(gradient(47, 200)))
    assert refusal.value.code == "IMAGE_TOO_SMALL"


@pytest.mark.parametrize("side", [7_000, 10_000, 20_000], ids=["ours", "warning", "error"])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(side: int) -> None:
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(header)) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    data = (
        b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 1) + b"IDAT" + b"\0" + struct.pack(">I", zlib.crc32(b"IDAT\0"))
    )
    with pytest.raises(photo.PhotoTooLarge, match="40 megapixels") as refusal:
        photo.read(data)
    assert refusal.value.code == "IMAGE_TOO_LARGE"


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(photo.UnusablePhoto, match="not a JPEG, PNG or WebP") as refusal:
        photo.read(b"%PDF-1.7 and so on")
    assert refusal.value.code == "IMAGE_UNREADABLE"


def test_a_format_that_is_not_accepted_is_refused() -> None:
    with pytest.raises(photo.UnusablePhoto, match="not a JPEG, PNG or WebP"):
        photo.read(encoded(gradient(80, 60), "BMP"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_cut_off_photo_is_refused(kind: str) -> None:
    data = encoded(Image.effect_noise((200, 200), 90).convert("RGB"), kind)
    with pytest.raises(photo.UnusablePhoto, match="damaged") as refusal:
        photo.read(data[: len(data) // 2])
    assert refusal.value.code == "IMAGE_UNREADABLE"
