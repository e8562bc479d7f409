"""Whatever a client sends to the gateway, the answer is a 4xx that says why in JSON."""

from urllib.parse import urlsplit

import pytest

from tests.compat.frontend import Frontend
from tests.stack import bad_requests, wire
from tests.stack.bad_requests import BAD_REQUESTS, REGISTRATION, TASKS, BadRequest
from tests.stacks import Stack

pytestmark = pytest.mark.xdist_group("stack")

SIXTY_MEGABYTES = 60_000_000


@pytest.fixture(scope="module")
def token(started: Stack) -> str:
    with Frontend(started.api) as frontend:
        return frontend.sign_up().access_token


def assert_refused(reply: wire.Reply, statuses: frozenset[int]) -> None:
    assert reply.status in statuses, (reply.status, reply.body[:300])
    assert reply.content_type in ("application/json", "application/problem+json"), reply
    assert reply.json()["detail"]
    assert b"Traceback" not in reply.body


@pytest.mark.parametrize("bad", BAD_REQUESTS, ids=[bad.id for bad in BAD_REQUESTS])
def test_bad_input_is_refused_with_a_reason(stack: Stack, token: str, bad: BadRequest) -> None:
    headers = [*bad.headers, ("Content-Length", str(len(bad.body)))]
    if bad.signed:
        headers.append(("access-token", token))
    path = urlsplit(stack.api).path + bad.path
    assert_refused(wire.exchange(stack.api, bad.method, path, headers, [bad.body]), bad.statuses)


@pytest.mark.parametrize(
    ("path", "content_type", "signed", "statuses"),
    [
        (TASKS, bad_requests.FORM, True, {413}),
        (TASKS, bad_requests.FORM, False, {413, 422}),
        (REGISTRATION, bad_requests.JSON, False, {413}),
    ],
)
def test_sixty_megabytes_are_refused(
    stack: Stack, token: str, path: str, content_type: str, signed: bool, statuses: set[int]
) -> None:
    headers = [("Content-Type", content_type), ("Content-Length", str(SIXTY_MEGABYTES))]
    if signed:
        headers.append(("access-token", token))
    body = wire.zeros(SIXTY_MEGABYTES)
    reply = wire.exchange(stack.api, "POST", urlsplit(stack.api).path + path, headers, body)
    assert_refused(reply, frozenset(statuses))


def test_a_body_of_unsaid_length_is_refused_when_it_gets_too_long(stack: Stack, token: str) -> None:
    headers = [
        ("Content-Type", bad_requests.FORM),
        ("Transfer-Encoding", "chunked"),
        ("access-token", token),
    ]
    chunks = (b"%x\r\n%s\r\n" % (len(piece), piece) for piece in wire.zeros(SIXTY_MEGABYTES))
    reply = wire.exchange(stack.api, "POST", urlsplit(stack.api).path + TASKS, headers, chunks)
    assert_refused(reply, frozenset({413}))


def test_an_unknown_host_is_refused(stack: Stack) -> None:
    path = urlsplit(stack.api).path + bad_requests.PROFILE
    reply = wire.exchange(stack.api, "GET", path, host="evil.example")
    assert 400 <= reply.status < 500
    assert reply.json()["detail"]
