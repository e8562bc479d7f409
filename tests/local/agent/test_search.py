"""Finding faces: where they are, how they are turned, and where there are none."""

import numpy as np
import pytest
from PIL import Image

from local.agent.photo import NoFace
from local.agent.search import Face, FaceFinder
from tests.local.agent.pictures import opened

# Landmark numbers of MediaPipe, and where a person sees them in the photo (pixels, read off an enlargement).
BY_HAND = {
    "astronaut.png": {
        "outer corner of the right eye": ([33], (193, 101)),
        "inner corner of the right eye": ([133], (212, 103)),
        "inner corner of the left eye": ([362], (237, 104)),
        "outer corner of the left eye": ([263], (258, 105)),
        "tip of the nose": ([4], (223, 127)),
        "right corner of the mouth": ([61], (203, 140)),
        "left corner of the mouth": ([291], (245, 140)),
        "edge of the lower lip": ([17], (222, 156)),
        "chin": ([152], (224, 178)),
    },
    "grace_hopper.jpg": {
        "right eye": ([159, 145], (222, 189)),
        "left eye": ([386, 374], (305, 188)),
        "tip of the nose": ([4], (268, 237)),
        "under the nose": ([2], (268, 252)),
        "right corner of the mouth": ([61], (230, 280)),
        "left corner of the mouth": ([291], (307, 278)),
        "between the lips": ([13, 14], (267, 278)),
        "chin": ([152], (266, 331)),
    },
}


def eye_distance(face: Face) -> float:
    """Between the outer corners, the usual measure for errors of landmarks."""
    return float(np.linalg.norm(face.landmarks[33, :2] - face.landmarks[263, :2]))


def errors(face: Face, expected: dict[str, tuple[list[int], tuple[int, int]]]) -> dict[str, float]:
    found = {name: face.landmarks[numbers, :2].mean(axis=0) for name, (numbers, _) in expected.items()}
    return {name: float(np.linalg.norm(found[name] - place)) for name, (_, place) in expected.items()}


def test_landmarks_lie_where_a_person_sees_them(faces: dict[str, Face], person: str) -> None:
    by_name = errors(faces[person], BY_HAND[person])
    far = {name: error for name, error in by_name.items() if error > 0.08 * eye_distance(faces[person])}
    assert not far
    assert np.mean(list(by_name.values())) < 0.045 * eye_distance(faces[person])


def test_a_level_frontal_face_is_found_level_and_frontal(faces: dict[str, Face], person: str) -> None:
    right, left = faces[person].landmarks[33], faces[person].landmarks[263]
    assert abs(np.degrees(np.arctan2(left[1] - right[1], left[0] - right[0]))) < 6
    assert abs(left[2] - right[2]) < 0.1 * eye_distance(faces[person])
    assert faces[person].landmarks[4, 2] < min(left[2], right[2]), "the nose is nearest to the viewer"


@pytest.mark.parametrize("name", ["cat.png", "coffee.png"])
def test_no_face_is_found_where_there_is_none(finder: FaceFinder, photos: dict[str, bytes], name: str) -> None:
    with pytest.raises(NoFace, match="no face") as refusal:
        finder.find(opened(photos[name]))
    assert refusal.value.code == "NO_FACE"


@pytest.mark.parametrize("colour", ["black", "white", "#ba997a"])
def test_no_face_is_found_in_an_even_picture(finder: FaceFinder, colour: str) -> None:
    with pytest.raises(NoFace):
        finder.find(Image.new("RGB", (300, 200), colour))


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_photo_on_its_side_or_head_is_turned(
    finder: FaceFinder, photos: dict[str, bytes], faces: dict[str, Face], person: str, turn: int
) -> None:
    found = finder.find(opened(photos[person]).rotate(turn, expand=True))
    assert found.image.size == faces[person].image.size
    moved = np.linalg.norm((found.landmarks - faces[person].landmarks)[:, :2], axis=1)
    assert moved.mean() < 0.03 * eye_distance(faces[person])


@pytest.mark.parametrize("degrees", [-35, -15, 15, 35])
def test_a_tilted_head_keeps_its_landmarks(
    finder: FaceFinder, photos: dict[str, bytes], faces: dict[str, Face], person: str, degrees: int
) -> None:
    image = opened(photos[person])
    found = finder.find(image.rotate(degrees, Image.Resampling.BICUBIC, fillcolor="gray"))
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    centre = np.array(image.size) / 2
    expected = (faces[person].landmarks[:, :2] - centre) @ np.array([[cosine, -sine], [sine, cosine]]) + centre
    assert np.linalg.norm(found.landmarks[:, :2] - expected, axis=1).mean() < 0.06 * eye_distance(faces[person])


def test_a_small_face_in_a_large_photo_is_found(
    finder: FaceFinder, photos: dict[str, bytes], faces: dict[str, Face]
) -> None:
    canvas = Image.new("RGB", (2000, 1500), "gray")
    canvas.paste(opened(photos["astronaut.png"]), (1350, 800))
    found = finder.find(canvas)
    expected = faces["astronaut.png"].landmarks[:, :2] + (1350, 800)
    assert np.linalg.norm(found.landmarks[:, :2] - expected, axis=1).mean() < 3


def test_the_largest_face_is_taken(finder: FaceFinder, photos: dict[str, bytes]) -> None:
    large, small = opened(photos["grace_hopper.jpg"]), opened(photos["astronaut.png"])
    both = Image.new("RGB", (1024, 600), "gray")
    both.paste(small, (0, 0))
    both.paste(large, (512, 0))
    assert finder.find(both).landmarks[:, 0].min() > 512


def test_a_mirrored_photo_gives_mirrored_landmarks(
    finder: FaceFinder, photos: dict[str, bytes], faces: dict[str, Face], person: str
) -> None:
    image = opened(photos[person])
    found = finder.find(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    nose, mirrored = faces[person].landmarks[4], found.landmarks[4]
    assert mirrored[0] == pytest.approx(image.width - nose[0], abs=0.05 * eye_distance(faces[person]))
    assert found.landmarks[33, 0] < found.landmarks[263, 0], "right stays right: numbers follow the picture"
