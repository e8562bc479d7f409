"""One create sent fifty times at once to the running product, by clients of which half never hear the answer."""

import secrets
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPResponse
from threading import Barrier
from urllib.parse import urlsplit

import pytest

from tests.compat import pictures
from tests.compat.deployment import broker_of
from tests.compat.frontend import Account, Frontend
from tests.servers import postgres
from tests.stacks import Stack, running, until

pytestmark = pytest.mark.xdist_group("stack-once")

CLIENTS = 50
REFUSED = (409, 429, 503)  # under way already, or no sandbox free: each says when to come again
DEFAULT_LIMITS = {"LIMIT_CREATES_PER_OWNER": "30/60", "LIMIT_TASKS_IN_FLIGHT": "20"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Without an agent, so that every message stays where it can be counted."""
    with running(tmp_path_factory.mktemp("once"), options=["--no-agent"], settings=DEFAULT_LIMITS) as stack:
        yield stack


@dataclass(frozen=True)
class Reply:
    status: int
    retry_after: int
    is_replay: bool
    body: bytes


@dataclass(frozen=True)
class Client:
    """Sends one and the same request, each time with another boundary in its form."""

    api: str
    token: str
    key: str
    photo: bytes

    def request(self) -> bytes:
        boundary = secrets.token_hex(16)
        disposition = 'Content-Disposition: form-data; name="task_source_file"; filename="me.jpg"'
        part = f"--{boundary}\r\n{disposition}\r\nContent-Type: image/jpeg\r\n\r\n".encode()
        body = part + self.photo + f"\r\n--{boundary}--\r\n".encode()
        lines = (
            f"POST {urlsplit(self.api).path}/3d-model-generation/tasks HTTP/1.1",
            f"Host: {urlsplit(self.api).netloc}",
            f"access-token: {self.token}",
            f"Idempotency-Key: {self.key}",
            f"Content-Type: multipart/form-data; boundary={boundary}",
            f"Content-Length: {len(body)}",
            "Connection: close",
        )
        return "\r\n".join([*lines, "", ""]).encode() + body

    def connect(self) -> socket.socket:
        address = urlsplit(self.api)
        assert address.hostname is not None
        return socket.create_connection((address.hostname, address.port or 80), timeout=60)

    def send_and_hang_up(self) -> None:
        with self.connect() as connection:
            connection.sendall(self.request())

    def ask(self) -> Reply:
        with self.connect() as connection:
            connection.sendall(self.request())
            answer = HTTPResponse(connection, method="POST")
            answer.begin()
            is_replay = answer.headers.get("idempotent-replayed") == "true"
            return Reply(answer.status, int(answer.headers.get("retry-after", 0)), is_replay, answer.read())

    def ask_until_made(self) -> list[Reply]:
        """Every answer, the last one being the task."""
        replies = [self.ask()]
        while replies[-1].status in REFUSED:
            time.sleep(replies[-1].retry_after)
            replies.append(self.ask())
        return replies


def messages(stack: Stack) -> list[str]:
    """Whose messages wait for an agent."""
    with broker_of(stack, user="RABBITMQ").connect() as connection:
        channel, found = connection.channel(), []
        while (got := channel.basic_get("generation_tasks", auto_ack=True))[0] is not None:
            found.append(str(got[1].correlation_id))
        return found


def made(stack: Stack, account: Account) -> list[str]:
    found = stack.services["postgres"]
    at = {**stack.settings(), "POSTGRES_HOST": found["host"], "POSTGRES_PORT": str(found["port"])}
    with postgres(at) as conn:
        rows = conn.execute("SELECT request_uuid FROM tasks WHERE user_id = %s", (account.user_id,)).fetchall()
    return [str(request_uuid) for (request_uuid,) in rows]


def test_fifty_at_once_with_replies_cut_off_make_one_task_one_message_and_one_answer(stack: Stack) -> None:
    with Frontend(stack.api) as frontend:
        account = frontend.sign_up()
    client = Client(stack.api, account.access_token, secrets.token_hex(16), pictures.photo())
    start = Barrier(CLIENTS)

    def one(number: int) -> list[Reply]:
        start.wait(60)
        if number % 2:
            client.send_and_hang_up()
        return client.ask_until_made()

    with ThreadPoolExecutor(CLIENTS) as pool:
        replies = list(pool.map(one, range(CLIENTS)))
    assert [answers[-1].status for answers in replies] == [201] * CLIENTS
    assert {reply.retry_after > 0 for answers in replies for reply in answers[:-1]} <= {True}
    assert len({answers[-1].body for answers in replies}) == 1
    assert sum(not answers[-1].is_replay for answers in replies) <= 1
    [request_uuid] = made(stack, account)
    assert f'"{request_uuid}"'.encode() in replies[0][-1].body
    assert until(lambda: messages(stack), within=20, what="the task is announced") == [request_uuid]
    assert messages(stack) == []
