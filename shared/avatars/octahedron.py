"""The model of every task in test mode: an octahedron, the same to the last byte wherever it is made."""

import json
import struct
from functools import cache
from itertools import product
from typing import Any

from avatars.glb import CHUNK, HEADER

SHA256 = "7ee430f6c78bac4d0df60d49d9296d04c607157c17e57c56276aed62ff692c5e"
SKIN_COLOR_HEX = "#c68642"
SKIN_COLOR_LINEAR = [0.5647, 0.2384, 0.0545, 1.0]
VERTICES, TRIANGLES = 24, 8
CONTENT_TYPE = "model/gltf-binary"
RADIUS = 0.1  # metres, about a head

_FLOAT, _ARRAY_BUFFER = 5126, 34962


@cache
def glb() -> bytes:
    """A whole glTF 2.0 file: one mesh with normals and one material."""
    binary = b"".join(struct.pack("<6f", *position, *normal) for position, normal in _corners())
    text = json.dumps(_document(len(binary)), separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    length = HEADER.size + 2 * CHUNK.size + len(text) + len(binary)
    chunks = (CHUNK.pack(len(text), b"JSON"), text, CHUNK.pack(len(binary), b"BIN\0"), binary)
    return HEADER.pack(b"glTF", 2, length) + b"".join(chunks)


def _corners() -> list[tuple[tuple[float, ...], tuple[float, ...]]]:
    """Position and normal of each corner of each face, counter-clockwise seen from outside."""
    corners: list[tuple[tuple[float, ...], tuple[float, ...]]] = []
    for x, y, z in product((1.0, -1.0), repeat=3):
        face = [(x * RADIUS, 0.0, 0.0), (0.0, y * RADIUS, 0.0), (0.0, 0.0, z * RADIUS)]
        if x * y * z < 0:
            face.reverse()
        normal = tuple(side / 3**0.5 for side in (x, y, z))
        corners += [(position, normal) for position in face]
    return corners


def _document(length: int) -> dict[str, Any]:
    stride = length // VERTICES
    return {
        "asset": {"version": "2.0", "generator": "Facet test mode"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "octahedron", "mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "NORMAL": 1}, "material": 0}]}],
        "materials": [{"pbrMetallicRoughness": {"baseColorFactor": SKIN_COLOR_LINEAR, "metallicFactor": 0.0}}],
        "accessors": [
            {
                "bufferView": 0, "byteOffset": 0, "componentType": _FLOAT, "count": VERTICES, "type": "VEC3",
                "min": [-_single(RADIUS)] * 3, "max": [_single(RADIUS)] * 3,
            },
            {"bufferView": 0, "byteOffset": stride // 2, "componentType": _FLOAT, "count": VERTICES, "type": "VEC3"},
        ],
        "bufferViews": [{"buffer": 0, "byteLength": length, "byteStride": stride, "target": _ARRAY_BUFFER}],
        "buffers": [{"byteLength": length}],
    }  # fmt: skip


def _single(value: float) -> float:
    """The value as it is stored, in 32 bits."""
    stored: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return stored
