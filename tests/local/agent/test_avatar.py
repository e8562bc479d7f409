"""From photo to avatar, as a whole."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from local.agent.avatar import Avatar, Sculptor
from local.agent.photo import NoFace, PhotoTooSmall, UnusablePhoto
from tests.gltf import Glb
from tests.local.agent.pictures import encoded, opened

PROJECT = Path(__file__).resolve().parents[3]
SKIN = {"astronaut.png": "#ba997a", "grace_hopper.jpg": "#e29b76"}
PRINT_DIGEST = """
import sys
from local.agent.avatar import Sculptor
print(Sculptor().sculpt(sys.stdin.buffer.read()).sha256)
"""


def channels(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))


def difference(first: str, second: str) -> int:
    return max(abs(a - b) for a, b in zip(channels(first), channels(second), strict=True))


def test_an_avatar_has_the_person_s_skin_colour(avatars: dict[str, Avatar], person: str) -> None:
    assert difference(avatars[person].skin_color_hex, SKIN[person]) <= 4


def test_an_avatar_is_small(avatars: dict[str, Avatar], person: str) -> None:
    assert 100_000 < len(avatars[person].glb) < 215_000


def test_an_avatar_tells_its_own_counts_and_digest(avatars: dict[str, Avatar], person: str) -> None:
    avatar = avatars[person]
    file = Glb(avatar.glb)
    assert (avatar.vertices, avatar.triangles) == (len(file.attribute("POSITION")), len(file.triangles))
    assert avatar.sha256 == hashlib.sha256(avatar.glb).hexdigest()


def test_the_same_photo_gives_the_same_bytes(
    sculptor: Sculptor, photos: dict[str, bytes], avatars: dict[str, Avatar], person: str
) -> None:
    assert sculptor.sculpt(photos[person]).glb == avatars[person].glb


def test_another_process_gives_the_same_bytes(photos: dict[str, bytes], avatars: dict[str, Avatar]) -> None:
    name = "astronaut.png"
    command = [sys.executable, "-c", PRINT_DIGEST]
    other = subprocess.run(command, cwd=PROJECT, input=photos[name], capture_output=True, check=True)
    assert other.stdout.decode().strip() == avatars[name].sha256


def test_a_photo_on_its_side_gives_the_same_person(
    sculptor: Sculptor, photos: dict[str, bytes], avatars: dict[str, Avatar], person: str
) -> None:
    turned = sculptor.sculpt(encoded(opened(photos[person]).rotate(90, expand=True)))
    assert difference(turned.skin_color_hex, avatars[person].skin_color_hex) <= 6
    moved = Glb(turned.glb).attribute("POSITION") - Glb(avatars[person].glb).attribute("POSITION")
    assert np.linalg.norm(moved, axis=1).mean() < 0.003, "metres"


def test_progress_goes_up_through_named_stages(sculptor: Sculptor, photos: dict[str, bytes]) -> None:
    heard: list[tuple[int, str]] = []
    sculptor.sculpt(photos["astronaut.png"], lambda percent, stage: heard.append((percent, stage)))
    assert [stage for _, stage in heard] == ["detecting", "fitting", "texturing", "assembling"]
    percents = [percent for percent, _ in heard]
    assert percents == sorted(set(percents))
    assert all(0 < percent < 90 for percent in percents)


@pytest.mark.parametrize("name", ["cat.png", "coffee.png"])
def test_without_a_face_there_is_no_avatar(sculptor: Sculptor, photos: dict[str, bytes], name: str) -> None:
    with pytest.raises(NoFace):
        sculptor.sculpt(photos[name])


def test_of_a_tiny_photo_there_is_no_avatar(sculptor: Sculptor, photos: dict[str, bytes]) -> None:
    with pytest.raises(PhotoTooSmall):
        sculptor.sculpt(encoded(opened(photos["astronaut.png"]).resize((40, 40))))


def test_of_a_damaged_photo_there_is_no_avatar(sculptor: Sculptor, photos: dict[str, bytes]) -> None:
    with pytest.raises(UnusablePhoto):
        sculptor.sculpt(photos["astronaut.png"][:5000])


def test_a_face_that_fills_a_small_photo_is_enough(sculptor: Sculptor, photos: dict[str, bytes]) -> None:
    portrait = opened(photos["astronaut.png"]).crop((150, 10, 300, 200)).resize((75, 95), Image.Resampling.LANCZOS)
    avatar = sculptor.sculpt(encoded(portrait))
    assert difference(avatar.skin_color_hex, SKIN["astronaut.png"]) <= 10


def test_a_tightly_cropped_face_still_becomes_a_whole_head(
    sculptor: Sculptor, photos: dict[str, bytes], avatars: dict[str, Avatar]
) -> None:
    cropped = sculptor.sculpt(encoded(opened(photos["astronaut.png"]).crop((175, 65, 275, 190))))
    moved = Glb(cropped.glb).attribute("POSITION") - Glb(avatars["astronaut.png"].glb).attribute("POSITION")
    assert np.linalg.norm(moved, axis=1).mean() < 0.005, "metres"
