"""JPEG: only what pixels and colours need reaches the decoder, and what that will hold is known before."""

import io

import pytest
from PIL import Image

from avatars import jpeg
from avatars.colours import MAX_PROFILE_BYTES
from tests.shared.avatars import corpus
from tests.shared.avatars.corpus import encoded, gradient, segment

PLAIN = encoded(gradient(), "JPEG")


def takes(upload: bytes, *, scale: int = 1) -> int:
    return jpeg.decoding_takes(Image.open(io.BytesIO(upload)), upload, scale)


def test_metadata_is_left_out() -> None:
    more = encoded(gradient(), "JPEG", exif=corpus.camera(), comment=b"by Ada", xmp=corpus.XMP)
    assert jpeg.bare(more) == PLAIN


def test_what_names_the_colours_is_left_in() -> None:
    assert jpeg.bare(encoded(gradient("CMYK"), "JPEG")) == encoded(gradient("CMYK"), "JPEG")  # by Adobe's segment
    with Image.open(io.BytesIO(jpeg.bare(encoded(gradient(), "JPEG", icc_profile=corpus.SRGB)))) as image:
        assert image.info["icc_profile"] == corpus.SRGB


def test_a_profile_of_megabytes_is_left_out() -> None:
    assert jpeg.bare(encoded(gradient(), "JPEG", icc_profile=bytes(MAX_PROFILE_BYTES))) == PLAIN


def test_bytes_between_segments_are_passed_over() -> None:
    first = segment(0xE0, b"JFIF\0")
    assert jpeg.bare(b"\xff\xd8" + first + b"\0junk\xff\0\xff\xff\xff" + PLAIN[2:]) == b"\xff\xd8" + first + PLAIN[2:]


@pytest.mark.parametrize("upload", [b"\xff\xd8\xff", b"\xff\xd8\xff\xd9", PLAIN[:100]])
def test_a_file_without_pixels_is_told(upload: bytes) -> None:
    with pytest.raises(ValueError, match="0 scans"):
        jpeg.bare(upload)


def test_a_file_of_fill_bytes_is_read_once() -> None:
    with pytest.raises(ValueError, match="0 scans"):  # after hours, should the search begin anew at each of them
        jpeg.bare(b"\xff\xd8" + b"\xff" * 10_000_000)


def test_the_camera_is_read_from_the_first_segment_that_is_exif() -> None:
    upload = PLAIN[:20] + segment(0xE1, b"http://ns.adobe.com/") + segment(0xE1, b"Exif\0\0one") + PLAIN[20:]
    assert jpeg.exif(upload) == b"Exif\0\0one"
    assert jpeg.exif(PLAIN) == b""


def test_an_ordinary_photo_takes_four_bytes_a_pixel_as_it_is_read() -> None:
    assert takes(PLAIN) == 4 * 96 * 80
    assert takes(PLAIN, scale=2) == 96 * 80


@pytest.mark.parametrize(
    ("mode", "subsampling", "each"), [("RGB", 0, 6), ("RGB", 1, 4), ("RGB", 2, 3), ("L", -1, 2), ("CMYK", 0, 8)]
)
def test_a_progressive_photo_takes_two_bytes_for_each_value_of_a_colour_too(
    mode: str, subsampling: int, each: int
) -> None:
    upload = encoded(gradient(mode), "JPEG", progressive=True, subsampling=subsampling)
    assert takes(upload, scale=4) == (each * 96 * 80) + 96 * 80 // 4
