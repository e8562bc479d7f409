"""Reading GLB files in tests, and Khronos' validator for them."""

import json
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from filelock import FileLock

NODE = Path(__file__).resolve().parents[1] / ".facet" / "node"
VALIDATOR = "gltf-validator@2.0.0-dev.3.10"
SCRIPT = """
const chunks = [];
process.stdin.on("data", chunk => chunks.push(chunk)).on("end", async () => {
  const report = await require("gltf-validator").validateBytes(new Uint8Array(Buffer.concat(chunks)));
  console.log(JSON.stringify(report));
});
"""
COMPONENTS = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


def validate(glb: bytes) -> dict[str, Any]:
    """The report of Khronos' glTF validator. Skips the test where there is no node."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node is not installed")
    NODE.mkdir(parents=True, exist_ok=True)
    with FileLock(NODE / "lock"):
        if not (NODE / "node_modules" / "gltf-validator").is_dir():
            command = ["npm", "install", "--prefix", str(NODE), "--no-audit", "--no-fund", VALIDATOR]
            installed = subprocess.run(command, capture_output=True, text=True)
            assert installed.returncode == 0, f"npm could not install {VALIDATOR}:\n{installed.stderr}"
    validated = subprocess.run(["node", "-e", SCRIPT], cwd=NODE, input=glb, capture_output=True, check=True)
    report: dict[str, Any] = json.loads(validated.stdout)
    return report


class Glb:
    """The two chunks of a GLB, read by the specification and by nothing of ours."""

    def __init__(self, data: bytes) -> None:
        length, kind = struct.unpack_from("<I4s", data, 12)
        assert kind == b"JSON"
        self.document: dict[str, Any] = json.loads(data[20 : 20 + length])
        self.binary = data[28 + length :]

    @property
    def primitive(self) -> dict[str, Any]:
        """The only one of the only mesh."""
        ((primitive,),) = (mesh["primitives"] for mesh in self.document["meshes"])
        found: dict[str, Any] = primitive
        return found

    def attribute(self, name: str) -> npt.NDArray[Any]:
        return self.accessor(self.primitive["attributes"][name])

    @property
    def triangles(self) -> npt.NDArray[Any]:
        return self.accessor(self.primitive["indices"]).reshape(-1, 3).astype(int)

    @property
    def morph_targets(self) -> dict[str, npt.NDArray[Any]]:
        names = self.document["meshes"][0]["extras"]["targetNames"]
        moves = [self.accessor(target["POSITION"]) for target in self.primitive["targets"]]
        return dict(zip(names, moves, strict=True))

    @property
    def image(self) -> bytes:
        return self.view(self.document["images"][0]["bufferView"])

    def accessor(self, number: int) -> npt.NDArray[Any]:
        accessor = self.document["accessors"][number]
        values = np.frombuffer(self.view(accessor["bufferView"]), COMPONENTS[accessor["componentType"]])
        return values.reshape(accessor["count"], WIDTHS[accessor["type"]])

    def view(self, number: int) -> bytes:
        view = self.document["bufferViews"][number]
        return self.binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
