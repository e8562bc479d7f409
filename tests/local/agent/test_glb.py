"""The file: valid glTF to Khronos' validator and to trimesh, with everything in it."""

import io
import struct

import numpy as np
import trimesh

from local.agent import glb, head
from local.agent.avatar import Avatar
from tests.gltf import Glb, validate
from tests.local.agent.pictures import opened


def test_khronos_validator_finds_nothing(avatars: dict[str, Avatar], person: str) -> None:
    issues = validate(avatars[person].glb)["issues"]
    assert (issues["numErrors"], issues["numWarnings"], issues["numInfos"]) == (0, 0, 0), issues["messages"]


def test_the_header_tells_the_length_and_chunks_are_aligned(avatars: dict[str, Avatar], person: str) -> None:
    data = avatars[person].glb
    assert struct.unpack_from("<4sII", data) == (b"glTF", 2, len(data))
    document, kind = struct.unpack_from("<I4s", data, 12)
    binary, binary_kind = struct.unpack_from("<I4s", data, 20 + document)
    assert (kind, binary_kind) == (b"JSON", b"BIN\0")
    assert (document % 4, binary % 4) == (0, 0)
    assert 28 + document + binary == len(data)


def test_trimesh_reads_a_textured_head(avatars: dict[str, Avatar], person: str) -> None:
    scene = trimesh.load_scene(io.BytesIO(avatars[person].glb), file_type="glb", process=False)
    (mesh,) = scene.geometry.values()
    assert isinstance(mesh, trimesh.Trimesh)
    assert (len(mesh.vertices), len(mesh.faces)) == (avatars[person].vertices, avatars[person].triangles)
    assert isinstance(mesh.visual, trimesh.visual.TextureVisuals)
    assert mesh.visual.uv is not None
    mesh.merge_vertices(merge_tex=True, merge_norm=True)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume > 0


def test_positions_are_metres_of_a_human_head(avatars: dict[str, Avatar], person: str) -> None:
    width, height, depth = np.ptp(Glb(avatars[person].glb).attribute("POSITION"), axis=0)
    assert 0.13 < width < 0.18
    assert 0.19 < height < 0.26
    assert 0.16 < depth < 0.24


def test_the_normals_in_the_file_are_of_unit_length(avatars: dict[str, Avatar], person: str) -> None:
    lengths = np.linalg.norm(Glb(avatars[person].glb).attribute("NORMAL"), axis=1)
    assert np.allclose(lengths, 1, atol=1e-6)


def test_the_file_carries_what_it_was_given() -> None:
    generator = np.random.default_rng(5)
    positions, triangles = generator.normal(size=(4, 3)), np.array([[0, 1, 2], [0, 2, 3]])
    moves = {"up": generator.normal(size=(4, 3)), "down": generator.normal(size=(4, 3))}
    mesh = glb.Mesh(positions, positions * 2, positions[:, :2], triangles, texture=b"odd length", morph_targets=moves)
    written = Glb(glb.write(mesh))
    assert np.allclose(written.attribute("POSITION"), positions)
    assert np.allclose(written.attribute("NORMAL"), positions * 2)
    assert np.allclose(written.attribute("TEXCOORD_0"), positions[:, :2])
    assert (written.triangles == triangles).all()
    assert written.image == b"odd length"
    assert list(written.morph_targets) == ["up", "down"]
    assert np.allclose(written.morph_targets["down"], moves["down"])


def test_morph_targets_are_off_at_first_and_in_metres(avatars: dict[str, Avatar], person: str) -> None:
    file = Glb(avatars[person].glb)
    assert file.document["meshes"][0]["weights"] == [0] * 5
    assert list(file.morph_targets) == ["blinkLeft", "blinkRight", "smile", "jawOpen", "browUp"]
    assert 0.01 < np.abs(file.morph_targets["jawOpen"]).max() < 0.02


def test_the_texture_is_a_jpeg_with_the_face_the_right_way_up(avatars: dict[str, Avatar], person: str) -> None:
    file = Glb(avatars[person].glb)
    assert file.document["images"][0]["mimeType"] == "image/jpeg"
    assert opened(file.image).size == (1024, 1024)
    uv = file.attribute("TEXCOORD_0")
    assert uv[159, 1] < uv[4, 1] < uv[14, 1] < uv[152, 1], "v grows downwards: eye, nose, lip, chin"
    assert uv[33, 0] < uv[263, 0], "the person's right eye lies left"
    assert np.allclose(uv, head.topology().uv)


def test_nothing_outside_of_the_file_is_needed(avatars: dict[str, Avatar], person: str) -> None:
    document = Glb(avatars[person].glb).document
    assert all("uri" not in part for part in document["images"] + document["buffers"])
    assert "extensionsRequired" not in document
