"""A GLB: complete, version 2, and leaning on nothing outside."""

import json
import struct

import pytest

from avatars import glb


def made(document: object, *, binary: bytes = b"", magic: bytes = b"glTF", version: int = 2, length: int = 0) -> bytes:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    if binary:
        chunks += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", magic, version, length or 12 + len(chunks)) + chunks


ASSET = {"asset": {"version": "2.0"}}


@pytest.mark.parametrize(
    "data",
    [
        made(ASSET),
        made({**ASSET, "buffers": [{"byteLength": 4}]}, binary=b"data"),
        made({**ASSET, "images": [{"uri": "data:image/png;base64,AAAA"}, {"bufferView": 0}]}),
    ],
)
def test_a_model_that_stands_alone_is_one(data: bytes) -> None:
    glb.check(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "shorter"),
        (made(ASSET)[:19], "shorter"),
        (made(ASSET, magic=b"gltf"), "not a GLB of version 2"),
        (made(ASSET, version=1), "not a GLB of version 2"),
        (made(ASSET, length=4000), "the header says 4000 bytes"),
        (made(ASSET) + b"<script>", "the header says"),
        (made(ASSET).replace(b"JSON", b"BIN\0"), "first chunk"),
        (struct.pack("<4sIII4s", b"glTF", 2, 20, 999, b"JSON"), "cut off"),
        (made(b"{"), "cannot be read"),
        (made(b"\xff\xfe{}"), "cannot be read"),
        (made(b"[" * 100_000), "cannot be read"),
        (made([]), "no object"),
        (made({}), "asset"),
        (made({"asset": {"version": "1.0"}}), "asset"),
        (made({"asset": []}), "asset"),
        (made({**ASSET, "images": [{"uri": "https://tracker.example/p.png"}]}), "outside"),
        (made({**ASSET, "buffers": [{"uri": "../../secret.bin"}]}), "outside"),
        (made({**ASSET, "buffers": {"uri": "x"}}), "no list"),
        (made({**ASSET, "images": ["x"]}), "no list"),
    ],
)
def test_anything_else_is_refused_with_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(glb.NotGlb, match=reason):
        glb.check(data)


def test_json_beyond_its_limit_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glb, "MAX_JSON_BYTES", 8)
    with pytest.raises(glb.NotGlb, match="more than 8 bytes"):
        glb.check(made(ASSET))
