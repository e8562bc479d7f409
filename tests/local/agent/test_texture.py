"""The painted texture: features in their place, colours of the photo, nothing of the background."""

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from local.agent import colour, head
from local.agent.fitting import fit
from local.agent.search import Face, FaceFinder
from local.agent.texture import Painter
from tests.local.agent.pictures import opened

SIZE = 512
GREEN = (0, 255, 0)
FRONTAL = [4, 5, 9, 50, 280, 151, 199, 1, 195, 36, 266, 101, 330]  # landmarks that face the camera
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


@pytest.fixture(scope="module")
def painter(litert: None) -> Painter:
    return Painter(SIZE)


@pytest.fixture(scope="module")
def textures(painter: Painter, faces: dict[str, Face]) -> dict[str, npt.NDArray[np.uint8]]:
    return {name: painted(painter, face) for name, face in faces.items()}


def painted(painter: Painter, face: Face) -> npt.NDArray[np.uint8]:
    fitted = fit(face.landmarks)
    return painter.paint(face.image, face.landmarks, fitted, head.closed(fitted.face)).pixels


def around(pixels: npt.NDArray[np.uint8], point: npt.NDArray[np.float64], radius: int = 2) -> npt.NDArray[np.float64]:
    x, y = (int(value) for value in point)
    window = pixels[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
    return np.asarray(window.reshape(-1, 3).mean(axis=0), np.float64)


def at(texture: npt.NDArray[np.uint8], landmark: int, radius: int = 2) -> npt.NDArray[np.float64]:
    return around(texture, np.asarray(head.topology().uv[landmark] * SIZE), radius)


def test_what_faces_the_camera_has_the_colour_it_has_in_the_photo(
    textures: dict[str, npt.NDArray[np.uint8]], faces: dict[str, Face], person: str
) -> None:
    photo = np.asarray(faces[person].image)
    for landmark in FRONTAL:
        seen = around(photo, np.asarray(faces[person].landmarks[landmark, :2]), radius=1)
        assert np.abs(at(textures[person], landmark) - seen).max() < 30, f"landmark {landmark}"


def test_eyes_are_dark_and_lips_are_red_where_they_belong(
    textures: dict[str, npt.NDArray[np.uint8]], person: str
) -> None:
    texture = textures[person]
    uv = head.topology().uv
    cheek = at(texture, 50, radius=6)
    for lids in ((159, 145), (386, 374)):
        left, top = (uv[list(lids)].mean(axis=0) * SIZE).astype(int)
        eye = texture[top - 4 : top + 5, left - 8 : left + 9] @ LUMINANCE
        assert np.percentile(eye, 10) < 0.55 * (cheek @ LUMINANCE)
    lip = at(texture, 14 if person == "grace_hopper.jpg" else 17)
    assert lip[0] / lip[1] > cheek[0] / cheek[1], "more red against green than the cheek"


def test_both_people_have_different_textures(textures: dict[str, npt.NDArray[np.uint8]]) -> None:
    first, second = (texture.astype(float) for texture in textures.values())
    assert np.abs(first - second).mean() > 20


def test_hair_above_the_forehead_comes_from_the_photo(textures: dict[str, npt.NDArray[np.uint8]]) -> None:
    above = head.topology().uv[10] * SIZE - (0, 12)
    red, green, blue = around(textures["astronaut.png"], np.asarray(above), radius=3)
    assert red > green > blue, "blond"
    assert around(textures["grace_hopper.jpg"], np.asarray(above), radius=3).max() < 60, "the brim of a black cap"


def test_what_lies_beside_the_head_is_not_painted_on_it(
    painter: Painter, finder: FaceFinder, photos: dict[str, bytes], faces: dict[str, Face], person: str
) -> None:
    pixels = np.asarray(opened(photos[person])).copy()
    columns, face = np.arange(pixels.shape[1]), faces[person].landmarks[:, 0]
    middle, half = (face.max() + face.min()) / 2, (face.max() - face.min()) / 2
    pixels[:, np.abs(columns - middle) > 1.1 * half] = GREEN
    texture = painted(painter, finder.find(Image.fromarray(pixels))).astype(int)
    assert (np.abs(texture - GREEN).max(axis=2) < 90).mean() < 0.001


def test_skin_is_measured_on_cheeks_and_forehead(faces: dict[str, Face], person: str) -> None:
    expected = {"astronaut.png": (186, 153, 122), "grace_hopper.jpg": (226, 155, 118)}
    measured = colour.skin(np.asarray(faces[person].image), faces[person].landmarks)
    assert np.abs(measured - expected[person]).max() <= 4


def test_hair_is_measured_above_the_forehead(faces: dict[str, Face]) -> None:
    face = faces["astronaut.png"]
    red, green, blue = colour.hair(np.asarray(face.image), face.landmarks, np.array([186.0, 153.0, 122.0]))
    assert red > green > blue
    assert red < 186


def test_without_hair_in_the_photo_it_is_a_darker_skin(faces: dict[str, Face]) -> None:
    face = faces["astronaut.png"]
    top = int(face.landmarks[list(colour.HAIRLINE), 1].max())
    cut = np.asarray(face.image)[top:]
    skin = np.array([200.0, 150.0, 100.0])
    assert np.allclose(colour.hair(cut, face.landmarks - (0, top, 0), skin), skin / 2)


def test_colours_are_written_in_hexadecimal() -> None:
    assert colour.hexadecimal(np.array([186.4, 153.0, 300.0])) == "#ba99ff"


def test_the_side_a_photo_leaves_out_mirrors_the_other(
    painter: Painter, finder: FaceFinder, photos: dict[str, bytes]
) -> None:
    without_left_cheek = opened(photos["astronaut.png"]).crop((140, 0, 240, 220))
    texture = painted(painter, finder.find(without_left_cheek))
    cheeks = [at(texture, landmark, radius=8) for landmark in (50, 280)]
    assert np.abs(cheeks[0] - cheeks[1]).max() < 6
