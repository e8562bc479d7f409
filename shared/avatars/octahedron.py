"""The model of every task in test mode: an octahedron, the same to the last byte wherever it is made."""

import json
import struct
from functools import cache
from itertools import product
from typing import Any

from avatars.glb import CHUNK, HEADER

SHA256 = "de5dcf75358b981c23308d62f49759b4fcc0cf21d7087d63b73050c2500e67ce"
SKIN_COLOR_HEX = "#c68642"
SKIN_COLOR_LINEAR = [0.5647, 0.2384, 0.0545, 1.0]
VERTICES, TRIANGLES = 24, 8
RADIUS = 0.1  # metres, about a head

Vector = tuple[float, float, float]

_FLOAT, _ARRAY_BUFFER = 5126, 34962


@cache
def glb() -> bytes:
    """A whole glTF 2.0 file: one mesh with normals and one material."""
    corners = _corners()
    binary = b"".join(struct.pack("<3f", *vector) for part in (0, 1) for vector in (corner[part] for corner in corners))
    text = json.dumps(_document(len(binary)), separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    length = HEADER.size + 2 * CHUNK.size + len(text) + len(binary)
    chunks = (CHUNK.pack(len(text), b"JSON"), text, CHUNK.pack(len(binary), b"BIN\0"), binary)
    return HEADER.pack(b"glTF", 2, length) + b"".join(chunks)


def _corners() -> list[tuple[Vector, Vector]]:
    """Position and normal of each corner of each face, counter-clockwise seen from outside."""
    corners: list[tuple[Vector, Vector]] = []
    for x, y, z in product((1.0, -1.0), repeat=3):
        face = [(x * RADIUS, 0.0, 0.0), (0.0, y * RADIUS, 0.0), (0.0, 0.0, z * RADIUS)]
        if x * y * z < 0:
            face.reverse()
        corners += [(position, (x / 3**0.5, y / 3**0.5, z / 3**0.5)) for position in face]
    return corners


def _document(length: int) -> dict[str, Any]:
    half, vectors = length // 2, {"componentType": _FLOAT, "count": VERTICES, "type": "VEC3"}
    stored: float = struct.unpack("<f", struct.pack("<f", RADIUS))[0]  # as it is in 32 bits
    return {
        "asset": {"version": "2.0", "generator": "Facet test mode"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "octahedron", "mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "NORMAL": 1}, "material": 0}]}],
        "materials": [{"pbrMetallicRoughness": {"baseColorFactor": SKIN_COLOR_LINEAR, "metallicFactor": 0.0}}],
        "accessors": [
            {"bufferView": 0, **vectors, "min": [-stored] * 3, "max": [stored] * 3},
            {"bufferView": 1, **vectors},
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": offset, "byteLength": half, "target": _ARRAY_BUFFER} for offset in (0, half)
        ],
        "buffers": [{"byteLength": length}],
    }
