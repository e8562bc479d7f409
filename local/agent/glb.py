"""Writing one textured mesh with morph targets as binary glTF 2.0 (GLB)."""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from local.agent.arrays import Floats, Integers

GENERATOR = "facet reference agent"
# Enumerations of the glTF 2.0 specification.
FLOAT, UNSIGNED_SHORT = 5126, 5123
ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
LINEAR, LINEAR_MIPMAP_LINEAR, CLAMP_TO_EDGE = 9729, 9987, 33071
VECTORS = {2: "VEC2", 3: "VEC3"}
ROUGHNESS = 0.85


@dataclass(frozen=True)
class Mesh:
    """positions (n, 3) in metres, normals (n, 3), uv (n, 2), triangles (m, 3), texture as JPEG,
    morph targets as displacements (n, 3) in metres."""

    positions: Floats
    normals: Floats
    uv: Floats
    triangles: Integers
    texture: bytes
    morph_targets: Mapping[str, Floats]


@dataclass
class _Buffer:
    data: bytearray = field(default_factory=bytearray)
    views: list[dict[str, int]] = field(default_factory=list)
    accessors: list[dict[str, Any]] = field(default_factory=list)

    def view(self, data: bytes, **properties: int) -> int:
        self.data += b"\0" * (-len(self.data) % 4)
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data), **properties})
        self.data += data
        return len(self.views) - 1

    def vectors(self, values: Floats, *, bounds: bool = False) -> int:
        """An accessor for (n, 2) or (n, 3); positions must tell their bounds."""
        stored = np.ascontiguousarray(values, np.float32)
        limits = {"min": stored.min(axis=0).tolist(), "max": stored.max(axis=0).tolist()} if bounds else {}
        return self._accessor(stored, FLOAT, VECTORS[stored.shape[1]], ARRAY_BUFFER, limits)

    def indices(self, triangles: Integers) -> int:
        stored = np.ascontiguousarray(triangles.ravel(), np.uint16)
        return self._accessor(stored, UNSIGNED_SHORT, "SCALAR", ELEMENT_ARRAY_BUFFER, {})

    def _accessor(
        self, stored: npt.NDArray[Any], component: int, shape: str, target: int, limits: Mapping[str, list[float]]
    ) -> int:
        view = self.view(stored.tobytes(), target=target)
        accessor = {"bufferView": view, "componentType": component, "count": len(stored), "type": shape, **limits}
        self.accessors.append(accessor)
        return len(self.accessors) - 1


def write(mesh: Mesh) -> bytes:
    """The GLB; the same bytes for the same mesh."""
    buffer = _Buffer()
    document = {
        "asset": {"version": "2.0", "generator": GENERATOR},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "avatar", "mesh": 0}],
        "meshes": [_mesh(mesh, buffer)],
        "materials": [
            {
                "name": "head",
                "pbrMetallicRoughness": {
                    "baseColorTexture": {"index": 0},
                    "metallicFactor": 0,
                    "roughnessFactor": ROUGHNESS,
                },
            }
        ],
        "textures": [{"source": 0, "sampler": 0}],
        "images": [{"bufferView": buffer.view(mesh.texture), "mimeType": "image/jpeg"}],
        "samplers": [
            {
                "magFilter": LINEAR,
                "minFilter": LINEAR_MIPMAP_LINEAR,
                "wrapS": CLAMP_TO_EDGE,
                "wrapT": CLAMP_TO_EDGE,
            }
        ],
        "accessors": buffer.accessors,
        "bufferViews": buffer.views,
        "buffers": [{"byteLength": len(buffer.data)}],
    }
    return _container(json.dumps(document, separators=(",", ":")).encode(), bytes(buffer.data))


def _mesh(mesh: Mesh, buffer: _Buffer) -> dict[str, Any]:
    primitive = {
        "attributes": {
            "POSITION": buffer.vectors(mesh.positions, bounds=True),
            "NORMAL": buffer.vectors(mesh.normals),
            "TEXCOORD_0": buffer.vectors(mesh.uv),
        },
        "indices": buffer.indices(mesh.triangles),
        "material": 0,
        "targets": [{"POSITION": buffer.vectors(moves, bounds=True)} for moves in mesh.morph_targets.values()],
    }
    names = list(mesh.morph_targets)
    return {"name": "head", "primitives": [primitive], "weights": [0] * len(names), "extras": {"targetNames": names}}


def _container(document: bytes, binary: bytes) -> bytes:
    document += b" " * (-len(document) % 4)
    binary += b"\0" * (-len(binary) % 4)
    header = struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(document) + 8 + len(binary))
    return b"".join(
        [
            header,
            struct.pack("<I4s", len(document), b"JSON"),
            document,
            struct.pack("<I4s", len(binary), b"BIN\0"),
            binary,
        ]
    )
