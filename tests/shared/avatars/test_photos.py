"""Photos: any honest one is accepted, and nothing of an upload but its pixels is kept."""

import io
import random
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image, ImageCms

from avatars import photos, pixels
from avatars.refusals import Refusal
from tests.shared.avatars import corpus
from tests.shared.avatars.corpus import SRGB, Size, deep_gradient, encoded, gradient

DATA = Path(__file__).parents[2] / "data"
PATIENCE = 30
LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def accepted(upload: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(pixels.as_jpeg(upload)))
    image.load()
    assert (image.format, image.mode) == ("JPEG", "RGB")
    return image


def close(pixel: object, wanted: tuple[int, int, int], within: int = 4) -> bool:
    assert isinstance(pixel, tuple)
    return all(abs(one - other) <= within for one, other in zip(pixel, wanted, strict=True))


@pytest.mark.parametrize("name", corpus.REFUSED)
def test_what_is_no_photo_to_keep_gets_the_code_that_says_why(name: str) -> None:
    code, make = corpus.REFUSED[name]
    with pytest.raises(Refusal) as refusal:
        pixels.as_jpeg(make())
    assert refusal.value.code == code


@pytest.mark.parametrize("name", corpus.ACCEPTED)
def test_of_what_is_accepted_only_pixels_are_kept(name: str) -> None:
    kept = pixels.as_jpeg(corpus.ACCEPTED[name]())
    assert corpus.beside_pixels(kept) == corpus.PLAIN_JFIF
    assert Image.open(io.BytesIO(kept)).size in ((96, 80), (80, 96), (64, 64))


def test_a_refusal_says_what_old_clients_know() -> None:
    with pytest.raises(photos.NotAnImage, match=r"^Only image files are accepted$"):
        pixels.as_jpeg(b"no photo")


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


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_high_photo_has_no_seams(form: str) -> None:
    kept = accepted(encoded(gradient(size=(64, 1000)), form))
    column = [kept.getpixel((30, y)) for y in range(1000)]
    assert [y for y, pixel in enumerate(column) if not close(pixel, (round(y * 255 / 999),) * 3, within=9)] == []


LARGE = (5001, 201)  # more than is kept, and odd
LARGE_KINDS: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: encoded(gradient("RGB", LARGE), "JPEG"),
    "CMYK": lambda: encoded(gradient("CMYK", LARGE), "JPEG"),
    "PNG": lambda: encoded(gradient("RGB", LARGE)),
    "PNG with transparency": lambda: encoded(gradient("RGBA", LARGE)),
    "grey PNG with transparency": lambda: encoded(gradient("LA", LARGE)),
    "grey PNG": lambda: encoded(gradient("L", LARGE)),
    "PNG with a palette": lambda: encoded(gradient("P", LARGE)),
    "WebP": lambda: encoded(gradient("RGB", LARGE), "WEBP"),
}


@pytest.mark.parametrize("kind", LARGE_KINDS)
def test_a_large_photo_is_kept_at_half_its_size(kind: str) -> None:
    kept = accepted(LARGE_KINDS[kind]())
    assert kept.width in (2500, 2501)
    assert kept.height in (100, 101)
    for y in (2, 63, 64, 97):
        assert close(kept.getpixel((1200, y)), (round((2 * y + 0.5) * 255 / 200),) * 3, within=9)


@pytest.mark.parametrize(
    ("size", "kept"),
    [((4096, 64), (4096, 64)), ((64, 4097), (32, 2049)), ((3600, 3500), (3600, 3500)), ((3600, 3501), (1800, 1751))],
)
def test_no_more_is_kept_than_4096_pixels_a_side_and_12_6_megapixels(size: Size, kept: Size) -> None:
    assert accepted(encoded(Image.new("L", size))).size == kept


def test_a_large_interlaced_photo_is_kept_at_half_its_size() -> None:
    plain, interlaced = (
        accepted(corpus.png(LARGE, corpus.striped_rows(LARGE, interlaced=so), interlaced=so)) for so in (False, True)
    )
    assert plain.size == interlaced.size == (2501, 101)
    for x in (0, 77, 2400):
        assert close(interlaced.getpixel((x, 50)), plain.getpixel((x, 50)))  # type: ignore[arg-type]  # a triple


@pytest.mark.parametrize("colour", [2, 4, 6])
def test_16_bits_of_a_large_photo_are_scaled_to_8(colour: int) -> None:
    samples = {2: (0x4080, 0x9000, 0x20FF), 4: (0x7000, 0xFFFF), 6: (0x4080, 0x9000, 0x20FF, 0xFFFF)}[colour]
    row = b"\0" + b"".join(sample.to_bytes(2) for sample in samples) * LARGE[0]
    kept = accepted(corpus.png(LARGE, row * LARGE[1], depth=16, colour=colour))
    assert close(kept.getpixel((900, 50)), (0x70, 0x70, 0x70) if colour == 4 else (0x40, 0x90, 0x20))


def test_what_is_transparent_in_a_large_photo_becomes_white() -> None:
    image = Image.new("RGBA", LARGE, (255, 0, 0, 0))
    image.paste((0, 0, 255, 128), (0, 0, 2000, 201))
    kept = accepted(encoded(image))
    assert close(kept.getpixel((2000, 50)), (255, 255, 255))
    assert close(kept.getpixel((500, 50)), (127, 127, 255))


def test_a_transparent_colour_of_a_large_photo_becomes_white() -> None:
    kept = accepted(encoded(Image.new("RGB", LARGE, (255, 0, 9)), transparency=(255, 0, 9)))
    assert close(kept.getpixel((500, 50)), (255, 255, 255))


@pytest.mark.parametrize("size", [(96, 64), LARGE])
def test_an_orientation_behind_the_pixels_counts(size: Size) -> None:
    image = encoded(gradient(size=size))
    upload = image[:-12] + corpus.chunk(b"eXIf", corpus.camera(6).removeprefix(b"Exif\0\0")) + image[-12:]
    kept = accepted(upload)
    assert kept.width < kept.height


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.99])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_part_of_a_large_photo_is_no_photo(form: str, share: float) -> None:
    whole = encoded(Image.effect_noise(LARGE, 90).convert("RGB"), form)
    with pytest.raises(photos.NotAnImage):
        pixels.as_jpeg(whole[: int(len(whole) * share)])


def webp(size: Size) -> bytes:
    return corpus.blank_webp(*size)


def progressive(mode: str) -> Callable[[Size], bytes]:
    return lambda size: corpus.claiming(encoded(gradient(mode), "JPEG", progressive=True), size)


def separate(size: Size) -> bytes:
    """A baseline JPEG whose colours come one after the other, as far as its first scan says."""
    jpeg = corpus.claiming(encoded(gradient(), "JPEG", subsampling=0), size)
    scan = jpeg.index(corpus.segment(0xDA, bytes((3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0))))
    return jpeg[:scan] + corpus.segment(0xDA, bytes((1, 1, 0, 0, 63, 0))) + jpeg[scan + 14 :]


def blank_png(colour: int, depth: int = 8) -> Callable[[Size], bytes]:
    def of(size: Size) -> bytes:
        row = bytes(1 + size[0] * corpus.COLOURS[colour] * depth // 8)
        return corpus.png(size, row * size[1], colour=colour, depth=depth)

    return of


LIMITS: dict[str, tuple[str, Size, Size, Callable[[Size], bytes]]] = {
    "WebP": ("7.5", (3000, 2500), (3000, 2501), webp),
    "progressive JPEG": ("18", (4500, 4000), (4500, 4001), progressive("RGB")),
    "progressive CMYK": ("10", (4000, 2500), (4000, 2501), progressive("CMYK")),
    "JPEG of separate colours": ("18", (4500, 4000), (4500, 4001), separate),
    "PNG": ("25", (5000, 5000), (5000, 5001), blank_png(2)),
    "PNG of 16 bits": ("25", (5000, 5000), (5000, 5001), blank_png(2, 16)),
    "transparent PNG": ("25", (5000, 5000), (5000, 5001), blank_png(6)),
    "transparent grey PNG": ("25", (5000, 5000), (5000, 5001), blank_png(4)),
}


@pytest.mark.parametrize("kind", LIMITS)
def test_a_kind_that_takes_more_memory_may_have_fewer_pixels(kind: str) -> None:
    most, fits, above, make = LIMITS[kind]
    assert max(accepted(make(fits)).size) <= pixels.MAX_KEPT_SIDE
    with pytest.raises(photos.ImageTooLarge, match=f"at most {most} megapixels: send a baseline JPEG"):
        pixels.as_jpeg(make(above))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_baseline_jpeg_may_have_40_megapixels(mode: str) -> None:
    assert accepted(encoded(Image.new(mode, (8000, 5000)), "JPEG")).size == (4000, 2500)


@pytest.mark.parametrize("mode", ["1", "L", "I;16", "P"])
def test_a_png_in_grey_or_with_a_palette_may_have_40_megapixels(mode: str) -> None:
    assert accepted(encoded(Image.new(mode, (8000, 5000)), compress_level=1)).size == (4000, 2500)


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
    stored = upright.transpose(pixels.UPRIGHT[backwards]) if backwards > 1 else upright
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


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("profile", [b"nonsense", b"\0" * 128, LAB], ids=["nonsense", "zeros", "lab"])
def test_a_profile_that_does_not_fit_is_ignored(form: str, profile: bytes) -> None:
    kept = accepted(encoded(Image.new("RGB", (64, 64), (250, 10, 10)), form, icc_profile=profile))
    assert close(kept.getpixel((30, 30)), (250, 10, 10))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_nothing_is_kept_but_pixels(form: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Pocket Camera"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0)})
    more = {"comment": b"by Ada", "xmp": b"<x:xmpmeta>52 N</x:xmpmeta>", "dpi": (300, 300)}
    upload = encoded(gradient(), form, exif=exif.tobytes(), icc_profile=SRGB, **more)
    kept = pixels.as_jpeg(upload + b"<script>alert(1)</script>")
    words = (b"Exif", b"Pocket", b"Ada", b"xmpmeta", b"ICC_PROFILE", b"script")
    assert [word for word in words if word in kept] == []


def test_the_first_picture_of_a_phones_double_jpeg_is_taken() -> None:
    double = encoded(gradient(), "MPO", save_all=True, append_images=[Image.new("RGB", (96, 80), "red")])
    assert close(accepted(double).getpixel((48, 77)), (248, 248, 248), 9)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "MPO"])
def test_damage_is_refused_or_survived_and_never_a_crash(form: str) -> None:
    chance = random.Random(form)
    exif = Image.Exif()
    exif[0x0112] = 6
    more = {"save_all": True, "append_images": [gradient()]} if form == "MPO" else {}
    whole = encoded(gradient(), form, exif=exif.tobytes(), icc_profile=SRGB, **more)
    outcomes = set()
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(chance.choice((1, 3, 9))):
            damaged[chance.randrange(chance.choice((100, len(damaged))))] = chance.randrange(256)
        try:
            pixels.as_jpeg(bytes(damaged))
            outcomes.add("accepted")
        except Refusal:
            outcomes.add("refused")
    assert outcomes == {"accepted", "refused"}


def test_no_warning_of_the_decoder_gets_out() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pixels.as_jpeg(encoded(gradient("P"), transparency=bytes(range(256))))
        with pytest.raises(photos.ImageTooLarge):
            pixels.as_jpeg(corpus.png_bomb(10_000, 10_000))
    assert caught == []


def test_photos_decoded_at_once_leave_the_warnings_of_others_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (encoded(gradient("P"), transparency=bytes(range(number, 256))) for number in (0, 1))
    decode, begun, joined, ended = pixels._decode, *(threading.Event() for _ in range(3))

    def overlapping(upload: bytes) -> tuple[Image.Image, object]:
        if upload == first:
            begun.set()
            assert joined.wait(PATIENCE)
        else:
            joined.set()
            assert ended.wait(PATIENCE)
        return decode(upload)

    monkeypatch.setattr(pixels, "_decode", overlapping)
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(pixels.as_jpeg, first)
        assert begun.wait(PATIENCE)
        other = pool.submit(pixels.as_jpeg, second)
        one.result(PATIENCE)
        ended.set()
        other.result(PATIENCE)  # its own warnings would be errors here
    with pytest.raises(UserWarning, match="somebody else's"):
        warnings.warn("somebody else's", UserWarning, stacklevel=1)


def test_many_photos_decoded_at_once_are_all_taken() -> None:
    photo = encoded(gradient("P"), transparency=bytes(range(256)))
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(pixels.as_jpeg, [photo] * 200))) == 1
    with pytest.raises(UserWarning, match="somebody else's"):
        warnings.warn("somebody else's", UserWarning, stacklevel=1)


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
    return SRGB.replace(b"rXYZ", b"tmp1").replace(b"bXYZ", b"rXYZ").replace(b"tmp1", b"bXYZ")
