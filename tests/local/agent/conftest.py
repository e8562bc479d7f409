"""The agent's networks, loaded once, and the avatars of the two people in the test photos."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from types_boto3_s3 import S3Client

from local.agent import photo
from local.agent.avatar import Avatar, Sculptor
from local.agent.search import Face, FaceFinder
from tests.local.agent.queues import Queues

PHOTOS = Path(__file__).parents[2] / "data"
PEOPLE = ("astronaut.png", "grace_hopper.jpg")


@pytest.fixture(scope="session")
def litert() -> None:
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed (extra `agent`)")


@pytest.fixture(scope="session")
def photos() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in PHOTOS.iterdir() if path.suffix in {".png", ".jpg"}}


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


@pytest.fixture(scope="session")
def s3(buckets: dict[str, str]) -> S3Client:
    client: S3Client = boto3.client(
        "s3",
        endpoint_url=buckets["MINIO_HOST"],
        aws_access_key_id=buckets["MINIO_ACCESS_KEY"],
        aws_secret_access_key=buckets["MINIO_SECRET_KEY"],
        region_name="us-east-1",
        config=Config(signature_version="s3v4"),
    )
    return client


@pytest.fixture(scope="session")
def bucket(s3: S3Client, buckets: dict[str, str]) -> str:
    """For photos and models of these tests."""
    name = f"{buckets['MINIO_3D_FILES_BUCKET']}-agent"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture(params=["quorum", "classic"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each type of queue the agent may meet."""
    name: str = request.param
    return name


@pytest.fixture
def queues(broker: dict[str, str]) -> Iterator[Queues]:
    with Queues(broker, kind="quorum") as own:
        yield own


@pytest.fixture(params=PEOPLE)
def person(request: pytest.FixtureRequest) -> str:
    """Each of the photos with a face."""
    name: str = request.param
    return name
