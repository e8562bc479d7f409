"""Liveness needs nothing; readiness names what is down, and says so in time."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from functions.health import handler
from tests.layers.shapes import Plain, call, furl
from tests.stacks import free_port

PROGRAM = f"""
import json, os, sys, time
from functions.health import handler
handler.PATIENCE = float(sys.argv[1])
for part in sys.argv[2:]:
    handler.CHECKS[part]()
started = time.monotonic()
reply = handler.app({furl(Plain("GET", "/health/ready"))}, None)
print(json.dumps({{**reply, "seconds": time.monotonic() - started}}), flush=True)
os._exit(0)
"""
PORTS = {"database": "POSTGRES_PORT", "broker": "RABBITMQ_PORT", "storage": "MINIO_HOST"}


def readiness(settings: dict[str, str], *warm: str, patience: float = 30) -> dict[str, Any]:
    """The answer of a fresh process, whose connections are its own; those of the parts named are open already."""
    environment = {**settings, "PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-c", PROGRAM, str(patience), *warm]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    reply: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**reply, "json": json.loads(reply["body"])}


def pointed_at(settings: dict[str, str], part: str, port: int) -> dict[str, str]:
    return {**settings, PORTS[part]: f"http://127.0.0.1:{port}" if part == "storage" else str(port)}


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("path", ["/health/live", "/api/v1/health/live"])
def test_the_process_is_live_whatever_it_needs(path: str) -> None:
    reply = call(handler.app, "GET", path)
    assert (reply.status, reply.json) == (200, {"status": "live"})
    assert reply.headers["cache-control"] == "no-store"


def test_it_is_ready_when_everything_answers(environment: dict[str, str]) -> None:
    reply = readiness(environment)
    assert (reply["statusCode"], reply["json"]) == (200, {"status": "ready"})


@pytest.mark.parametrize("part", PORTS)
def test_what_cannot_be_reached_is_named(environment: dict[str, str], part: str) -> None:
    reply = readiness(pointed_at(environment, part, free_port()))
    assert reply["statusCode"] == 503
    assert reply["json"]["code"] == "NOT_READY"
    assert [fault["loc"] for fault in reply["json"]["errors"]] == [[part]]
    assert reply["headers"]["retry-after"] == "5"


@pytest.mark.parametrize("queue", ["RABBITMQ_TASKS_QUEUE", "RABBITMQ_TASKS_RESULTS_QUEUE"])
def test_a_queue_that_is_gone_is_a_broker_that_is_not_ready(environment: dict[str, str], queue: str) -> None:
    reply = readiness({**environment, queue: "deleted_by_somebody"})
    assert [fault["loc"] for fault in reply["json"]["errors"]] == [["broker"]]
    assert "deleted_by_somebody" in reply["json"]["errors"][0]["msg"]
    assert "facet migrate" in reply["json"]["errors"][0]["msg"]


@pytest.mark.parametrize("part", PORTS)
def test_what_does_not_answer_is_named_in_time(environment: dict[str, str], part: str, silent_port: int) -> None:
    others = [other for other in PORTS if other != part]
    reply = readiness(pointed_at(environment, part, silent_port), *others, patience=handler.PATIENCE)
    assert reply["statusCode"] == 503
    assert [fault["loc"] for fault in reply["json"]["errors"]] == [[part]]
    assert reply["seconds"] < 2 * handler.PATIENCE  # the database alone is waited for longer


def test_a_missing_setting_is_no_detail_for_the_public() -> None:
    reply = readiness({})
    assert reply["json"]["detail"] == "Down: database, broker, storage"
    assert "POSTGRES" not in reply["body"]


def test_a_check_that_hangs_is_not_started_twice_and_its_late_answer_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate, started = threading.Event(), []

    def check() -> None:
        started.append(1)
        assert gate.wait(timeout=30)

    monkeypatch.setattr(handler, "CHECKS", {"database": check})
    monkeypatch.setattr(handler, "PATIENCE", 0.05)
    monkeypatch.setattr(handler, "_running", {})
    assert [call(handler.app, "GET", "/health/ready").status for _ in range(2)] == [503, 503]
    gate.set()
    handler._running["database"].result(timeout=10)
    assert len(started) == 1
    monkeypatch.setattr(handler, "PATIENCE", 10)
    assert call(handler.app, "GET", "/health/ready").status == 200
    assert len(started) == 2
