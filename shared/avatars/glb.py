"""GLB: is this really a binary glTF 2.0 that stands alone?"""

import json
import struct
from typing import Any

HEADER = struct.Struct("<4sII")
CHUNK = struct.Struct("<I4s")
MAX_JSON_BYTES = 8 * 1024 * 1024


class NotGlb(Exception):
    """The bytes are not a complete, self-contained GLB; `str()` says what is wrong."""


def check(data: bytes) -> None:
    """Header, length and chunks fit, the JSON is glTF 2 and refers to nothing outside. Raises NotGlb."""
    if len(data) < HEADER.size + CHUNK.size:
        raise NotGlb("shorter than the header of a GLB and of its first chunk")
    magic, version, length = HEADER.unpack_from(data)
    if magic != b"glTF" or version != 2:
        raise NotGlb("not a GLB of version 2")
    if length != len(data):
        raise NotGlb(f"the header says {length} bytes, there are {len(data)}")
    size, kind = CHUNK.unpack_from(data, HEADER.size)
    start = HEADER.size + CHUNK.size
    if kind != b"JSON" or start + size > len(data):
        raise NotGlb("the first chunk is not JSON, or is cut off")
    if size > MAX_JSON_BYTES:
        raise NotGlb(f"the JSON has more than {MAX_JSON_BYTES} bytes")
    _check_document(_document(data[start : start + size]))


def _document(chunk: bytes) -> dict[str, Any]:
    try:
        document = json.loads(chunk)
    except (ValueError, RecursionError):
        raise NotGlb("the JSON chunk cannot be read") from None
    if not isinstance(document, dict):
        raise NotGlb("the JSON chunk is no object")
    return document


def _check_document(document: dict[str, Any]) -> None:
    asset = document.get("asset")
    if not isinstance(asset, dict) or not str(asset.get("version", "")).startswith("2."):
        raise NotGlb("asset.version is not 2")
    for kind in ("buffers", "images"):
        parts = document.get(kind, [])
        if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
            raise NotGlb(f"{kind} is no list of objects")
        if any(not str(part.get("uri", "data:")).startswith("data:") for part in parts):
            raise NotGlb(f"{kind} refer to something outside the file")
