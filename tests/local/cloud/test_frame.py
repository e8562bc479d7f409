"""The screen of `facet up` as text, of made-up views."""

import time
from dataclasses import replace

import pytest

from local.cloud.frame import Done, View, drawn

NOON = time.mktime((2026, 5, 1, 12, 0, 0, 0, 0, -1))
VIEW = View(
    ready=True,
    urls={"api": "http://localhost:8080/api/v1", "docs": "http://localhost:8080/docs"},
    services=[("postgres", "running", 0), ("rabbitmq", "restarting", 2), ("objects", "running", 1)],
    queues={"generation_tasks": 12_345, "generation_tasks.dead": 1},
    functions=41,
    sandboxes={"get_task": (1, 1), "create_task": (3, 1), "sign_out": (0, 0), "health": (1, 1)},
    broken={"health": "SyntaxError: invalid syntax (handler.py, line 3)"},
    last=[
        Done(NOON, "POST /api/v1/3d-model-generation/tasks", "create_task", "201", 34.4, cold=True),
        Done(NOON - 1, "queue", "consume_results", "Sandbox.Timedout", 15_000),
        Done(NOON - 2, "schedule", "relay_outbox", "ok", 3),
    ],
    invocations=1_234,
)


def shown(view: View, *, width: int = 100, height: int = 24) -> list[str]:
    return [line.rstrip() for line in drawn(view, width=width, height=height).plain.split("\n")]


def test_the_screen_shows_addresses_services_queues_functions_and_the_last_invocations() -> None:
    assert shown(VIEW) == [
        "Facet       ready",
        "api         http://localhost:8080/api/v1",
        "docs        http://localhost:8080/docs",
        "services    postgres running · rabbitmq restarting (2 restarts) · objects running (1 restart)",
        "queues      generation_tasks 12,345 · generation_tasks.dead 1",
        "functions   41, 5 sandboxes, 2 busy",
        "  health                     SyntaxError: invalid syntax (handler.py, line 3)",
        "  create_task                2 busy  1 idle",
        "  get_task                           1 idle",
        "last        1,234 invocations",
        "  12:00:00  POST /…d-model-generation/tasks  create_task              201               34 ms cold",
        "  11:59:59  queue                            consume_results          Timedout      15,000 ms",
        "  11:59:58  schedule                         relay_outbox             ok                 3 ms",
    ]


def test_before_anything_runs_there_is_little_to_show() -> None:
    assert shown(View()) == ["Facet       starting", "functions   0, 0 sandboxes, 0 busy", "last        0 invocations"]
    assert shown(View(stopping=True))[0] == "Facet       stopping"


@pytest.mark.parametrize(("width", "height"), [(40, 10), (80, 5), (20, 3), (200, 60)])
def test_it_fits_the_terminal(width: int, height: int) -> None:
    crowd = {f"function_{number}": (1, number % 2) for number in range(100)}
    busy = replace(VIEW, sandboxes=crowd, last=[*VIEW.last] * 50, services=[*VIEW.services] * 3)
    lines = shown(busy, width=width, height=height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width


def test_what_is_busy_comes_first_and_the_rest_is_counted() -> None:
    crowd = {f"function_{number}": (1, 1) for number in range(9)} | {"late": (2, 0)}
    lines = shown(View(functions=10, sandboxes=crowd), height=12)
    assert lines[2:7] == [
        "  late                       2 busy  0 idle",
        *(f"  function_{number}                         1 idle" for number in range(3)),
        "  and 6 more with sandboxes",
    ]
