"""The agent's networks, loaded once, and the avatars of the two people in the test photos."""

from pathlib import Path

import pytest

from local.agent import photo
from local.agent.avatar import Avatar, Sculptor
from local.agent.search import Face, FaceFinder

PHOTOS = Path(__file__).parents[2] / "data"
PEOPLE = ("astronaut.png", "grace_hopper.jpg")


@pytest.fixture(scope="session")
def litert() -> None:
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed (extra `agent`)")


@pytest.fixture(scope="session")
def photos() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in PHOTOS.iterdir()}


@pytest.fixture(scope="session")
def finder(litert: None) -> FaceFinder:
    return FaceFinder()


@pytest.fixture(scope="session")
def sculptor(litert: None) -> Sculptor:
    return Sculptor()


@pytest.fixture(scope="session")
def faces(finder: FaceFinder, photos: dict[str, bytes]) -> dict[str, Face]:
    return {name: finder.find(photo.read(photos[name])) for name in PEOPLE}


@pytest.fixture(scope="session")
def avatars(sculptor: Sculptor, photos: dict[str, bytes]) -> dict[str, Avatar]:
    return {name: sculptor.sculpt(photos[name]) for name in PEOPLE}


@pytest.fixture(params=PEOPLE)
def person(request: pytest.FixtureRequest) -> str:
    """Each of the photos with a face."""
    name: str = request.param
    return name
