"""Photos: any honest one is accepted, and nothing of an upload but its pixels is kept."""

import io
import random
import struct
import warnings
import zlib
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image, ImageCms

from avatars import photos
from avatars.refusals import Refusal

DATA = Path(__file__).parents[2] / "data"
SRGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LAB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
Size = tuple[int, int]


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def accepted(upload: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(photos.accept(upload)))
    image.load()
    assert (image.format, image.mode) == ("JPEG", "RGB")
    return image


def close(pixel: object, wanted: tuple[int, int, int], within: int = 4) -> bool:
    assert isinstance(pixel, tuple)
    return all(abs(one - other) <= within for one, other in zip(pixel, wanted, strict=True))


def gradient(mode: str = "RGB", size: Size = (96, 80)) -> Image.Image:
    return Image.linear_gradient("L").resize(size).convert(mode)


def deep_gradient() -> Image.Image:
    """The same with 16 bits."""
    return gradient("I").point(lambda value: value * 257).convert("I;16")


@pytest.mark.parametrize("name", ["astronaut.png", "grace_hopper.jpg", "cat.png", "coffee.png"])
def test_a_real_photo_is_kept_at_its_size(name: str) -> None:
    with Image.open(DATA / name) as original:
        assert accepted((DATA / name).read_bytes()).size == original.size


@pytest.mark.parametrize(
    ("form", "mode"),
    [
        ("JPEG", "RGB"),
        ("JPEG", "L"),
        ("JPEG", "CMYK"),
        ("PNG", "1"),
        ("PNG", "L"),
        ("PNG", "LA"),
        ("PNG", "P"),
        ("PNG", "RGBA"),
        ("PNG", "I;16"),
        ("WEBP", "RGB"),
        ("WEBP", "RGBA"),
    ],
)
def test_every_kind_of_pixel_looks_as_it_did(form: str, mode: str) -> None:
    kept = accepted(encoded(deep_gradient() if mode == "I;16" else gradient(mode), form))
    if mode != "1":  # dithered
        for y in (2, 40, 77):
            assert close(kept.getpixel((48, y)), (round(y * 255 / 79),) * 3, within=9)


def test_what_is_transparent_becomes_white() -> None:
    image = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    image.paste((0, 0, 255, 128), (0, 0, 64, 32))
    kept = accepted(encoded(image))
    assert close(kept.getpixel((32, 60)), (255, 255, 255))
    assert close(kept.getpixel((32, 10)), (127, 127, 255))


def test_a_transparent_colour_of_a_palette_becomes_white() -> None:
    image = Image.new("P", (64, 64), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    assert close(accepted(encoded(image, transparency=1)).getpixel((5, 5)), (255, 255, 255))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_every_orientation_is_set_upright(form: str, orientation: int) -> None:
    upright = Image.new("RGB", (96, 64), "black")
    upright.paste("white", (0, 0, 48, 32))
    backwards = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)
    stored = upright.transpose(photos.UPRIGHT[backwards]) if backwards > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    kept = accepted(encoded(stored, form, exif=exif.tobytes()))
    assert kept.size == (96, 64)
    assert [close(kept.getpixel(at), (255,) * 3, 20) for at in ((20, 14), (80, 14), (20, 50))] == [True, False, False]


def test_colours_of_a_wide_profile_are_converted_to_srgb() -> None:
    swapped = _profile_with_red_and_blue_swapped()
    kept = accepted(encoded(Image.new("RGB", (64, 64), (250, 10, 10)), "JPEG", icc_profile=swapped, quality=95))
    red, _, blue = kept.getpixel((30, 30))  # type: ignore[misc]  # an RGB pixel is a triple
    assert blue > 200 > 60 > red
    assert "icc_profile" not in kept.info


@pytest.mark.parametrize("profile", [b"nonsense", b"\0" * 128, LAB_PROFILE])
def test_a_profile_that_does_not_fit_is_ignored(profile: bytes) -> None:
    kept = accepted(encoded(Image.new("RGB", (64, 64), (250, 10, 10)), icc_profile=profile))
    assert close(kept.getpixel((30, 30)), (250, 10, 10))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_nothing_is_kept_but_pixels(form: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Pocket Camera"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0)})
    more = {"comment": b"by Ada", "xmp": b"<x:xmpmeta>52 N</x:xmpmeta>", "dpi": (300, 300)}
    upload = encoded(gradient(), form, exif=exif.tobytes(), icc_profile=SRGB_PROFILE, **more)
    kept = photos.accept(upload + b"<script>alert(1)</script>")
    words = (b"Exif", b"Pocket", b"Ada", b"xmpmeta", b"ICC_PROFILE", b"script")
    assert [word for word in words if word in kept] == []


def test_the_first_picture_of_a_phones_double_jpeg_is_taken() -> None:
    double = encoded(gradient(), "MPO", save_all=True, append_images=[Image.new("RGB", (96, 80), "red")])
    assert close(accepted(double).getpixel((48, 77)), (248, 248, 248), 9)


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_a_moving_picture_is_no_photo(form: str) -> None:
    moving = encoded(gradient(), form, save_all=True, append_images=[Image.new("RGB", (96, 80), "red")])
    with pytest.raises(photos.NotAnImage):
        photos.accept(moving)


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF", "ICO", "PPM", "TGA", "JPEG2000", "AVIF"])
def test_other_formats_are_no_photos(form: str) -> None:
    with pytest.raises(photos.NotAnImage):
        photos.accept(encoded(gradient(), form))


@pytest.mark.parametrize(
    "upload",
    [
        b"",
        b"no photo",
        b"GIF89a/*<script>alert(1)</script>*/=1;",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n",
        b"%PDF-1.7",
        b"\xff\xd8\xff" + b"\0" * 200,
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\x10\0\0\0WEBPVP8 ",
    ],
)
def test_what_only_pretends_is_no_photo(upload: bytes) -> None:
    with pytest.raises(photos.NotAnImage, match=r"^Only image files are accepted$"):
        photos.accept(upload)


def test_a_gif_that_is_a_page_too_is_no_photo() -> None:
    gif = encoded(gradient("P"), "GIF", comment=b"<html><script>alert(1)</script></html>")
    with pytest.raises(photos.NotAnImage):
        photos.accept(gif)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_half_a_photo_is_no_photo(form: str, share: float) -> None:
    whole = encoded(Image.effect_noise((200, 200), 90), form)
    with pytest.raises(photos.NotAnImage):
        photos.accept(whole[: int(len(whole) * share)])


def png_bomb(width: int, height: int) -> bytes:
    """A few kilobytes that say they are a picture of any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0" * min(width * height, 1_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "size", [(6400, 6400), (8193, 64), (64, 8193), (10_000, 10_000), (60_000, 60_000), (2**31 - 1, 64)]
)
def test_a_picture_that_would_fill_the_memory_is_refused_unread(size: Size) -> None:
    with pytest.raises(photos.ImageTooLarge):
        photos.accept(png_bomb(*size))


def test_a_webp_that_would_fill_the_memory_is_refused() -> None:
    blank = bytes.fromhex(
        "524946461a000000574542505650384c0e0000002ffebfff0f071011fd0f4444ff03"
    )  # 16,383 pixels a side
    with pytest.raises(photos.ImageTooLarge):
        photos.accept(blank)


def test_a_text_that_unpacks_to_gigabytes_is_passed_over() -> None:
    text = zlib.compress(b"\0" * 80_000_000)
    bomb = b"zTXtComment\0\0" + text
    chunk = struct.pack(">I", len(bomb) - 4) + bomb + struct.pack(">I", zlib.crc32(bomb))
    image = encoded(gradient())
    assert photos.accept(image[:33] + chunk + image[33:]) == photos.accept(image)


@pytest.mark.parametrize(("size", "fits"), [((64, 64), True), ((63, 64), False), ((64, 63), False), ((1, 1), False)])
def test_a_photo_has_at_least_64_pixels_a_side(size: Size, fits: bool) -> None:
    upload = encoded(Image.new("RGB", size))
    if fits:
        assert accepted(upload).size == size
        return
    with pytest.raises(photos.ImageTooSmall):
        photos.accept(upload)


def test_more_than_10_megabytes_are_refused_unread() -> None:
    with pytest.raises(photos.BodyTooLarge):
        photos.accept(b"\xff\xd8\xff" + b"\0" * photos.MAX_BYTES)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "MPO"])
def test_damage_is_refused_or_survived_and_never_a_crash(form: str) -> None:
    chance = random.Random(form)
    exif = Image.Exif()
    exif[0x0112] = 6
    more = {"save_all": True, "append_images": [gradient()]} if form == "MPO" else {}
    whole = encoded(gradient(), form, exif=exif.tobytes(), icc_profile=SRGB_PROFILE, **more)
    outcomes = set()
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(chance.choice((1, 3, 9))):
            damaged[chance.randrange(chance.choice((100, len(damaged))))] = chance.randrange(256)
        try:
            photos.accept(bytes(damaged))
            outcomes.add("accepted")
        except Refusal:
            outcomes.add("refused")
    assert outcomes == {"accepted", "refused"}


def test_no_warning_of_the_decoder_gets_out() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        photos.accept(encoded(gradient("P"), transparency=bytes(range(256))))
        with pytest.raises(photos.ImageTooLarge):
            photos.accept(png_bomb(10_000, 10_000))
    assert caught == []


@pytest.mark.parametrize(
    ("user_id", "api_key_id", "folder"),
    [(7, None, "user-7"), (7, 3, "key-3"), (None, 3, "key-3"), (None, None, "anonymous")],
)
def test_the_key_says_whose_it_is_and_never_repeats(user_id: int | None, api_key_id: int | None, folder: str) -> None:
    owner = SimpleNamespace(user_id=user_id, api_key_id=api_key_id)
    first, second = photos.object_key(owner), photos.object_key(owner)
    assert first != second
    assert first.startswith(f"{folder}/")
    assert first.endswith(".jpg")


def _profile_with_red_and_blue_swapped() -> bytes:
    """sRGB with the two primaries' tags exchanged: wrong on purpose, so that a conversion is seen."""
    return SRGB_PROFILE.replace(b"rXYZ", b"tmp1").replace(b"bXYZ", b"rXYZ").replace(b"tmp1", b"bXYZ")
