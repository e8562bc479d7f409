"""The five-minute tour: a photo goes in, an avatar comes out."""

from pathlib import Path

import httpx
import pytest
import trimesh

from tests.compat.frontend import Account, Frontend
from tests.stacks import PROJECT, Stack

pytestmark = pytest.mark.xdist_group("stack")

PHOTOS = PROJECT / "tests" / "data"


def test_the_demo_saves_an_avatar_other_programs_can_read(stack: Stack, tmp_path: Path) -> None:
    saved = tmp_path / "avatar.glb"
    stack.facet("demo", str(PHOTOS / "astronaut.png"), "--output", str(saved))
    avatar = trimesh.load(saved, file_type="glb", force="mesh")
    assert isinstance(avatar, trimesh.Trimesh)
    assert len(avatar.faces) > 500
    assert 0.1 < avatar.extents.max() < 0.5  # a head, in metres


def test_a_face_becomes_an_avatar_with_a_skin_colour(frontend: Frontend, account: Account) -> None:
    request_uuid = frontend.create_task(account.access_token, (PHOTOS / "grace_hopper.jpg").read_bytes())
    frontend.wait_for(account.access_token, request_uuid, "SUCCESS")
    result = frontend.result(account.access_token, request_uuid).json()
    assert httpx.get(result["result_file_path"], trust_env=False).content[:4] == b"glTF"
    red, green, blue = bytes.fromhex(result["mesh_metadata"]["skin_color_hex"].removeprefix("#"))
    assert red > green > blue


@pytest.mark.parametrize("photo", ["cat.png", "coffee.png"])
def test_a_photo_without_a_face_is_an_invalid_input(frontend: Frontend, account: Account, photo: str) -> None:
    request_uuid = frontend.create_task(account.access_token, (PHOTOS / photo).read_bytes())
    frontend.wait_for(account.access_token, request_uuid, "INVALID_INPUT")
    assert frontend.history(account.access_token).json() == {"items": []}
