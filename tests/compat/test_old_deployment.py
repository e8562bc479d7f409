"""What an operator brings along from the old system: its agents' queues, its emotions, its users."""

import secrets
from collections.abc import Iterator

import bcrypt
import boto3
import httpx
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.compat import pictures
from tests.compat.deployment import agent_of
from tests.compat.frontend import Frontend
from tests.compat.ml_agent import RESULTS, TASKS, Agent
from tests.stacks import Stack

pytestmark = pytest.mark.xdist_group("compat-old")

EMOTIONS = "deca-emotions"


@pytest.fixture
def old_frontend(old_stack: Stack) -> Iterator[Frontend]:
    with Frontend(old_stack.api) as frontend:
        yield frontend


@pytest.fixture
def old_agent(old_stack: Stack) -> Iterator[Agent]:
    with agent_of(old_stack, declares=True) as agent:
        yield agent


@pytest.fixture
def emotion(old_stack: Stack) -> Iterator[bytes]:
    """One expression file, put into its bucket by the operator."""
    settings = old_stack.settings()
    client = boto3.client(
        "s3",
        endpoint_url=old_stack.services["objects"]["url"],
        aws_access_key_id=settings["MINIO_ACCESS_KEY"],
        aws_secret_access_key=settings["MINIO_SECRET_KEY"],
        region_name="us-east-1",
    )
    smile = secrets.token_bytes(64)
    client.put_object(Bucket=EMOTIONS, Key="smile.npy", Body=smile)
    yield smile
    client.delete_object(Bucket=EMOTIONS, Key="smile.npy")
    client.close()


def test_an_agent_may_declare_both_queues_as_plain_durable_again(old_agent: Agent) -> None:
    for _ in range(2):
        for queue in (TASKS, RESULTS):
            assert old_agent.channel.queue_declare(queue=queue, durable=True).method.queue == queue


def test_the_message_names_every_emotion_by_a_url_the_agent_can_read(
    old_frontend: Frontend, old_agent: Agent, emotion: bytes
) -> None:
    request_uuid = old_frontend.create_task(old_frontend.sign_up().access_token, pictures.photo())
    delivery = old_agent.take(request_uuid)
    [url] = delivery.task["task_input_metadata"]["emotions_files_urls"]
    assert httpx.get(url, trust_env=False).content == emotion
    old_agent.acknowledge(delivery)


@pytest.mark.parametrize("password", ["old but gold", "x" * 90])
def test_a_user_of_the_old_system_signs_in_with_the_old_password(
    old_stack: Stack, old_frontend: Frontend, password: str
) -> None:
    email = f"{secrets.token_hex(6)}@example.org"
    old_hash = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode()
    with psycopg.connect(database_of(old_stack)) as connection:
        connection.execute(
            "insert into users (name, email, password_hash) values (%s, %s, %s)", ("Old", email, old_hash)
        )
    assert old_frontend.authorize(email, "something else").status_code == 400
    for _ in range(2):
        assert old_frontend.authorize(email, password).status_code == 200


def database_of(stack: Stack) -> str:
    settings, postgres = stack.settings(), stack.services["postgres"]
    return make_conninfo(
        host=postgres["host"],
        port=postgres["port"],
        user=settings["POSTGRES_USER"],
        password=settings["POSTGRES_PASSWORD"],
        dbname=settings["POSTGRES_DB"],
    )
