"""Requests are counted for all sandboxes together, and refused beyond what a setting allows."""

import subprocess
import sys
from collections import Counter

import pytest
from pydantic import BaseModel

from facet import auth, db, limits
from facet.function import Function
from facet.http import Request
from tests.layers.shapes import Reply, call
from tests.servers import postgres

Settings = dict[str, str]
pytestmark = pytest.mark.usefixtures("clean")

SETTING = "limit_creates_per_owner"


class Named(BaseModel):
    email: str


def by_header(request: Request) -> auth.Caller:
    user, key = request.headers.get("x-user"), request.headers.get("x-key")
    return auth.Caller(int(user) if user else None, int(key) if key else None)


app = Function("limited")


@app.endpoint("GET", "/address", limits=(limits.per_address("visit", SETTING),))
def address() -> dict[str, str]:
    return {}


@app.endpoint("POST", "/owner", caller=by_header, limits=(limits.per_owner("create", SETTING),), status=201)
def owner() -> dict[str, str]:
    return {}


@app.endpoint(
    "POST",
    "/both",
    body=Named,
    limits=(
        limits.per_address("visit", "limit_sign_ins_per_address"),
        limits.per_value("account", SETTING, lambda given: given["body"].email),
    ),
)
def both(body: Named) -> dict[str, str]:
    return {}


@pytest.fixture
def allow(monkeypatch: pytest.MonkeyPatch, environment: Settings) -> pytest.MonkeyPatch:
    monkeypatch.setenv(SETTING.upper(), "2/60")
    return monkeypatch


def visits(count: int, **headers: str) -> list[Reply]:
    return [call(app, "GET", "/address", headers=headers) for _ in range(count)]


def statuses(path: str, headers: dict[str, str], count: int = 3) -> list[int]:
    return [call(app, "POST", path, headers=headers).status for _ in range(count)]


def test_what_is_left_is_told_until_nothing_is(allow: pytest.MonkeyPatch) -> None:
    first, second, refused = visits(3)
    assert [reply.status for reply in (first, second, refused)] == [200, 200, 429]
    assert {reply.headers["ratelimit-policy"] for reply in (first, second)} == {'"visit";q=2;w=60'}
    assert first.headers["ratelimit"] in ('"visit";r=1;t=60', '"visit";r=1;t=59')
    assert second.headers["ratelimit"].startswith('"visit";r=0;t=')


def test_a_refusal_says_when_to_come_again(allow: pytest.MonkeyPatch) -> None:
    refused = visits(3)[-1]
    assert refused.json["code"] == "RATE_LIMITED"
    assert refused.json["retryable"] is True
    assert int(refused.headers["retry-after"]) in range(1, 61)
    assert refused.headers["ratelimit"].startswith('"visit";r=0;t=')
    assert refused.headers["ratelimit-policy"] == '"visit";q=2;w=60'


def test_a_new_window_begins_when_the_old_one_is_over(allow: pytest.MonkeyPatch, clean: Settings) -> None:
    visits(3)
    with postgres(clean) as conn:
        conn.execute("UPDATE rate_limits SET ends_at = now() - interval '1 second'")
    assert [reply.status for reply in visits(3)] == [200, 200, 429]


def test_being_refused_does_not_prolong_the_window(allow: pytest.MonkeyPatch, clean: Settings) -> None:
    visits(3)
    with postgres(clean) as conn:
        before = conn.execute("SELECT ends_at FROM rate_limits").fetchall()
        visits(5)
        assert conn.execute("SELECT ends_at FROM rate_limits").fetchall() == before


def test_owners_are_counted_apart_and_a_users_keys_with_the_user(allow: pytest.MonkeyPatch) -> None:
    assert statuses("/owner", {"x-user": "1"}) == [201, 201, 429]
    assert statuses("/owner", {"x-user": "1", "x-key": "8"}, 1) == [429]
    assert statuses("/owner", {"x-user": "2"}) == [201, 201, 429]
    assert statuses("/owner", {"x-key": "1"}) == [201, 201, 429]
    assert statuses("/owner", {}) == [201, 201, 429]


def test_values_are_counted_apart_and_not_kept(allow: pytest.MonkeyPatch, clean: Settings) -> None:
    def sent(email: str) -> int:
        return call(app, "POST", "/both", body=Named(email=email).model_dump_json().encode()).status

    assert [sent("ada@example.org") for _ in range(3)] == [200, 200, 429]
    assert sent("bo@example.org") == 200
    with postgres(clean) as conn:
        kept = str(conn.execute("SELECT * FROM rate_limits").fetchall())
    assert "example.org" not in kept


def test_two_policies_are_both_told(allow: pytest.MonkeyPatch) -> None:
    reply = call(app, "POST", "/both", body=b'{"email": "ada@example.org"}')
    assert reply.headers["ratelimit-policy"] == '"visit";q=120;w=60,"account";q=2;w=60'


def test_an_invalid_request_is_not_counted(allow: pytest.MonkeyPatch, clean: Settings) -> None:
    assert call(app, "POST", "/both", body=b"{}").status == 422
    with postgres(clean) as conn:
        assert conn.execute("SELECT FROM rate_limits").fetchall() == []


def test_off_lets_everything_through_without_a_word(allow: pytest.MonkeyPatch) -> None:
    allow.setenv(SETTING.upper(), "off")
    assert not any("ratelimit" in reply.headers or reply.status != 200 for reply in visits(5))


def test_a_limit_holds_over_processes_at_once(clean: Settings) -> None:
    code = (
        "from facet.limits import *\n"
        "from facet.http import Request\n"
        f"limit = per_address('visit', {SETTING!r})\n"
        "input()\n"  # all of them are ready before the first one counts
        "for _ in range(10):\n"
        "    try:\n"
        "        limit.take(Request('GET', '/', source_ip='203.0.113.9'), {})\n"
        "        print('passed')\n"
        "    except RateLimited:\n"
        "        print('refused')\n"
    )
    environment = {**clean, SETTING.upper(): "17/600", "PYTHONPATH": "layers/facet/python"}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[0].decode().split() for process in processes]
    assert Counter(word for words in said for word in words) == {"passed": 17, "refused": 23}


def test_a_database_that_is_away_is_an_outage_and_no_way_around_the_limit(allow: pytest.MonkeyPatch) -> None:
    db.close()
    allow.setenv("POSTGRES_PORT", "1")
    assert visits(1)[0].json["code"] == "DATABASE_UNAVAILABLE"
