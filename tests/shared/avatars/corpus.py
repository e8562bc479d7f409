"""Photos and what is sent in their place: those that are accepted, and the code each of the others gets."""

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import partial

from PIL import Image, ImageCms

Size = tuple[int, int]
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PAGE = b"<!doctype html><script>alert(1)</script>"
MOST = 10 * 1024 * 1024
COLOURS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # samples per pixel by PNG's colour type
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def gradient(mode: str = "RGB", size: Size = (96, 80)) -> Image.Image:
    return Image.linear_gradient("L").resize(size).convert(mode)


def deep_gradient() -> Image.Image:
    """The same with 16 bits."""
    return gradient("I").point(lambda value: value * 257).convert("I;16")


def camera(orientation: int = 1) -> bytes:
    """What a camera writes: who it is, how it was held and where."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Pocket Camera", orientation
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0)})
    return exif.tobytes()


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def segment(marker: int, data: bytes) -> bytes:
    """A segment of a JPEG."""
    return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data


def png(
    size: Size, rows: bytes, *, depth: int = 8, colour: int = 2, interlaced: bool = False, more: bytes = b""
) -> bytes:
    """A PNG of filtered rows."""
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, interlaced)
    parts = (chunk(b"IHDR", header), more, chunk(b"IDAT", zlib.compress(rows, 1)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def striped_rows(size: Size, *, depth: int = 8, colour: int = 2, interlaced: bool = False) -> bytes:
    """Rows for `png`: stripes from top to bottom, the same with and without interlacing."""
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    sample, stripes = COLOURS[colour] * depth // 8, []
    row = bytes(range(256)) * (size[0] * sample // 256 + 1)
    pixels = [row[at : at + sample] for at in range(0, size[0] * sample, sample)]
    for x, y, x_step, y_step in passes:
        stripes.append((b"\0" + b"".join(pixels[x::x_step])) * len(range(y, size[1], y_step)))
    return b"".join(stripes)


def png_bomb(width: int, height: int) -> bytes:
    """A few kilobytes that say they are a picture of any size."""
    return png((width, height), b"\0" * min(width * height, 1_000_000), colour=0)


def blank_webp(width: int, height: int, *, more: bytes = b"") -> bytes:
    """A white picture of any size in 34 bytes, but for what comes after it."""
    sides = struct.pack("<I", (width - 1) | (height - 1) << 14)
    data = b"\x2f" + sides + bytes.fromhex("071011fd0f4444ff03")
    body = b"WEBPVP8L" + struct.pack("<I", len(data)) + data + more
    return b"RIFF" + struct.pack("<I", len(body)) + body


def filled(upload: bytes) -> bytes:
    """As many bytes as are allowed."""
    return upload + b"\0" * (MOST - len(upload))


def moving(form: str) -> bytes:
    return encoded(gradient(), form, save_all=True, append_images=[Image.new("RGB", (96, 80), "red")])


def archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as zipped:
        zipped.writestr("run.sh", "echo hello")
    return out.getvalue()


def text_bomb() -> bytes:
    """A PNG with a comment of 64 MB that is packed in 64 KB."""
    image = encoded(gradient())
    return image[:33] + chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"\0" * 64_000_000)) + image[33:]


def empty_chunks() -> bytes:
    """A PNG most of whose chunks of pixels have none."""
    image = encoded(gradient())
    return image[:33] + chunk(b"IDAT", b"") * 500_000 + image[33:]


def scan_bomb() -> bytes:
    """A progressive JPEG that is drawn over and over again."""
    jpeg = encoded(gradient(), "JPEG", progressive=True)
    last = jpeg.rindex(b"\xff\xda")
    return jpeg[:-2] + jpeg[last:-2] * 1000 + jpeg[-2:]


def frames() -> bytes:
    """A JPEG that says again and again how large it is, of how many colours."""
    jpeg = encoded(gradient(), "JPEG")
    return jpeg[:2] + segment(0xC0, struct.pack(">BHHB", 8, 80, 96, 3) + bytes(65_000)) * 100 + jpeg[2:]


def cameras() -> bytes:
    """A JPEG whose Exif goes on for megabytes."""
    jpeg = encoded(gradient(), "JPEG", exif=camera())
    return jpeg[:2] + segment(0xE1, b"Exif\0\0" + bytes(65_000)) * 100 + jpeg[2:]


def cut(form: str, share: float) -> bytes:
    whole = encoded(Image.effect_noise((200, 200), 90), form)
    return whole[: int(len(whole) * share)]


def turned(form: str, orientation: int) -> bytes:
    return encoded(gradient(), form, exif=camera(orientation), icc_profile=SRGB, comment=b"by Ada", xmp=XMP)


def deep(colour: int) -> bytes:
    return png((96, 80), striped_rows((96, 80), depth=16, colour=colour), depth=16, colour=colour)


def claiming(jpeg: bytes, size: Size) -> bytes:
    """A JPEG in colour that says it is of this size; the pixels for it are not there."""
    frame = re.search(rb"\xff[\xc0\xc2]\0[\x11\x14]\x08", jpeg)
    assert frame is not None
    return jpeg[: frame.end()] + struct.pack(">HH", size[1], size[0]) + jpeg[frame.end() + 4 :]


def beside_pixels(jpeg: bytes) -> list[bytes]:
    """What a JPEG has beside frame, tables and pixels, byte for byte."""
    assert jpeg.startswith(b"\xff\xd8")
    found, at = [], 2
    while at < len(jpeg):
        marker, length = jpeg[at + 1], int.from_bytes(jpeg[at + 2 : at + 4])
        if marker not in (0xC0, 0xC4, 0xDB, 0xDA):
            found.append(jpeg[at : at + 2 + length])
        at += 2 + length
        if marker == 0xDA:
            end = jpeg.index(b"\xff\xd9", at)
            return [*found, jpeg[end + 2 :]] if jpeg[end + 2 :] else found
    raise ValueError("no pixels")


PLAIN_JFIF = [segment(0xE0, b"JFIF\0" + bytes((1, 1, 0, 0, 1, 0, 1, 0, 0)))]  # no unit, no thumbnail
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0\0\0\x08mdat"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' width='99' height='99'><script>alert(1)</script></svg>"
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n%%EndComments\nshowpage\n"
XMP = b"<x:xmpmeta><exif:GPSLatitude>52,31N</exif:GPSLatitude></x:xmpmeta>"

STILL, DRAWN = ("JPEG", "PNG", "WEBP"), ("GIF", "BMP", "TIFF", "ICO", "PPM", "TGA", "JPEG2000", "AVIF", "PDF")
SHARES = (0.001, 0.02, 0.2, 0.5, 0.9, 0.99)

REFUSED: dict[str, tuple[str, Callable[[], bytes]]] = {
    "nothing": ("NOT_AN_IMAGE", bytes),
    "zero bytes": ("NOT_AN_IMAGE", partial(bytes, 4096)),
    "text": ("NOT_AN_IMAGE", lambda: b"no photo"),
    "page": ("NOT_AN_IMAGE", lambda: PAGE),
    "SVG": ("NOT_AN_IMAGE", lambda: SVG),
    "SVG as XML": ("NOT_AN_IMAGE", lambda: b"\xef\xbb\xbf<?xml version='1.0'?>" + SVG),
    "HEIC": ("NOT_AN_IMAGE", lambda: HEIC),
    "EPS": ("NOT_AN_IMAGE", lambda: EPS),
    **{form: ("NOT_AN_IMAGE", partial(encoded, gradient(), form)) for form in DRAWN},
    "archive": ("NOT_AN_IMAGE", archive),
    "sound": ("NOT_AN_IMAGE", lambda: b"RIFF\x24\0\0\0WAVEfmt " + b"\0" * 40),
    "GIF and script": ("NOT_AN_IMAGE", lambda: b"GIF89a/*" + b"\0" * 40 + b"*/=1;alert(1)"),
    "GIF and page": ("NOT_AN_IMAGE", lambda: encoded(gradient("P"), "GIF", comment=PAGE)),
    "JPEG's first bytes": ("NOT_AN_IMAGE", lambda: b"\xff\xd8\xff" + b"\0" * 200),
    "PNG's first bytes": ("NOT_AN_IMAGE", lambda: b"\x89PNG\r\n\x1a\n"),
    "WebP's first bytes": ("NOT_AN_IMAGE", lambda: b"RIFF\x10\0\0\0WEBPVP8 "),
    **{f"moving {form}": ("NOT_AN_IMAGE", partial(moving, form)) for form in ("GIF", "PNG", "WEBP")},
    **{f"{share:.1%} of a {form}": ("NOT_AN_IMAGE", partial(cut, form, share)) for form in STILL for share in SHARES},
    "JPEG of 1,000 scans": ("NOT_AN_IMAGE", scan_bomb),
    "JPEG of 2,000,000 segments": ("NOT_AN_IMAGE", lambda: b"\xff\xd8" + segment(0xE0, b"") * 2_000_000),
    "JPEG of 100 frames": ("NOT_AN_IMAGE", frames),
    "JPEG of 100 cameras": ("NOT_AN_IMAGE", cameras),
    "PNG of 500,000 chunks": ("NOT_AN_IMAGE", empty_chunks),
    "PNG with 64 MB of text": ("NOT_AN_IMAGE", text_bomb),
    "PNG, 30,000 pixels a side": ("IMAGE_TOO_LARGE", partial(png_bomb, 30_000, 30_000)),
    "PNG, 2,147,483,647 pixels a side": ("IMAGE_TOO_LARGE", partial(png_bomb, 2**31 - 1, 2**31 - 1)),
    "PNG, a row over 40 megapixels": ("IMAGE_TOO_LARGE", partial(png_bomb, 8000, 5001)),
    "PNG, 8,193 pixels wide": ("IMAGE_TOO_LARGE", partial(png_bomb, 8193, 64)),
    "PNG, 8,193 pixels high": ("IMAGE_TOO_LARGE", partial(png_bomb, 64, 8193)),
    "JPEG, a row over 40 megapixels": ("IMAGE_TOO_LARGE", lambda: claiming(encoded(gradient(), "JPEG"), (8000, 5001))),
    "JPEG, 65,500 pixels a side": ("IMAGE_TOO_LARGE", lambda: claiming(encoded(gradient(), "JPEG"), (65_500, 65_500))),
    "WebP, 16,383 pixels a side": ("IMAGE_TOO_LARGE", partial(blank_webp, 16_383, 16_383)),
    "PNG, 63 pixels wide": ("IMAGE_TOO_SMALL", lambda: encoded(gradient(size=(63, 64)))),
    "PNG, 63 pixels high": ("IMAGE_TOO_SMALL", lambda: encoded(gradient(size=(64, 63)))),
    "JPEG, 1 pixel": ("IMAGE_TOO_SMALL", lambda: encoded(gradient(size=(1, 1)), "JPEG")),
    "10 MB and a byte": ("BODY_TOO_LARGE", lambda: filled(encoded(gradient(), "JPEG")) + b"\0"),
}

ACCEPTED: dict[str, Callable[[], bytes]] = {
    "10 MB": lambda: filled(encoded(gradient(), "JPEG")),
    "64 pixels a side": lambda: encoded(gradient(size=(64, 64))),
    "grey JPEG": lambda: encoded(gradient("L"), "JPEG"),
    "CMYK": lambda: encoded(gradient("CMYK"), "JPEG"),
    "progressive": lambda: encoded(gradient(), "JPEG", progressive=True),
    "double JPEG": lambda: encoded(gradient(), "MPO", save_all=True, append_images=[gradient()], exif=camera()),
    "16 bits, grey": lambda: encoded(deep_gradient()),
    **{f"16 bits, colour type {colour}": partial(deep, colour) for colour in (2, 4, 6)},
    "interlaced": lambda: png((96, 80), striped_rows((96, 80), interlaced=True), interlaced=True),
    "palette": lambda: encoded(gradient("P"), transparency=bytes(range(256))),
    "two colours": lambda: encoded(gradient("1")),
    "transparent PNG": lambda: encoded(gradient("RGBA")),
    "transparent WebP": lambda: encoded(gradient("RGBA"), "WEBP"),
    "lossless WebP": lambda: encoded(gradient(), "WEBP", lossless=True),
    **{f"{form}, orientation {way}": partial(turned, form, way) for form in STILL for way in range(1, 9)},
    "JPEG and archive": lambda: encoded(gradient(), "JPEG") + archive(),
    "JPEG and page": lambda: encoded(gradient(), "JPEG", comment=PAGE) + PAGE,
    "PNG and page": lambda: encoded(gradient()) + PAGE,
    "WebP and page": lambda: encoded(gradient(), "WEBP") + PAGE,
    "WebP of 1,000,000 chunks": lambda: blank_webp(64, 64, more=b"None\0\0\0\0" * 1_000_000),
}
