"""A trace as text."""

from pathlib import Path
from typing import Any

import pytest

from local.tracing import waterfall

BEGIN = 1_700_000_000.0


def span(number: int, parent: int | None, name: str, start: float, end: float, **more: Any) -> dict[str, Any]:
    """Times in milliseconds from the beginning."""
    return {
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "span_id": f"{number:016x}",
        "parent_id": None if parent is None else f"{parent:016x}",
        "name": name,
        "kind": "internal",
        "service": "create_task",
        "start": BEGIN + start / 1000,
        "end": BEGIN + end / 1000,
        "status": "unset",
        "attributes": {},
        **more,
    }


def statement(number: int, parent: int, name: str, start: float, end: float, **more: Any) -> dict[str, Any]:
    return span(number, parent, name, start, end, kind="client", attributes={"db.system.name": "postgresql"}, **more)


STATUS = {"http.response.status_code": 201}
DATABASE = {"db.system.name": "postgresql"}
LIFE = [
    span(1, None, "POST /tasks", 0, 40, service="gateway", kind="server", attributes=STATUS),
    span(2, 1, "create_task", 2, 38, kind="server"),
    *(statement(10 + n, 2, f"SELECT t{n}", 4 + n, 5 + n) for n in range(12)),
    span(3, 2, "transaction", 20, 30, attributes=DATABASE),
    statement(30, 3, "BEGIN", 20, 21),
    *(statement(31 + n, 3, "INSERT outbox", 21 + n, 22 + n) for n in range(2)),
    statement(33, 3, "COMMIT", 29, 30),
    span(4, 2, "send tasks", 31, 33, kind="producer"),
    span(5, 4, "process tasks", 50, 100, service="agent", kind="consumer"),
    span(6, 5, "fitting", 60, 90, service="agent", status="error", attributes={"error.type": "NO_FACE"}),
]


def text(spans: list[dict[str, Any]], *, width: int = 100, whole: bool = False) -> list[str]:
    return [line.plain for line in waterfall.drawn(waterfall.rows(spans, whole=whole), width=width)]


def test_a_life_across_services() -> None:
    assert text(list(reversed(LIFE))) == (Path(__file__).parent / "life.txt").read_text().splitlines()


def test_the_headline_tells_when_how_long_and_what_failed() -> None:
    said = "trace 4bf92f3577b34da6a3ce929d0e0e4736  2023-11-14T22:13:20.000Z  100.0 ms, 22 spans, 1 with errors"
    assert waterfall.headline(LIFE) == said


def test_the_whole_of_it_has_a_line_for_each_span() -> None:
    lines = text(LIFE, whole=True)
    assert len(lines) == len(LIFE)
    assert sum("INSERT outbox" in line for line in lines) == 2


def test_a_failed_statement_is_not_folded_away() -> None:
    failed = statement(34, 3, "UPDATE tasks", 25, 26, status="error")
    assert any("UPDATE tasks ! error" in line for line in text([*LIFE, failed]))


def test_few_statements_of_one_name_are_counted_and_others_named() -> None:
    few = [LIFE[0], *(statement(n, 1, name, n, n + 1) for n, name in enumerate(["A x", "A x", "B y"], start=50))]
    assert [row.name for row in waterfall.rows(few)] == ["POST /tasks → 201", "A x \N{MULTIPLICATION SIGN}2", "B y"]


@pytest.mark.parametrize("width", [20, 80, 300])
def test_lines_fit_the_terminal_or_are_as_narrow_as_they_can_be(width: int) -> None:
    lengths = {len(line) for line in text(LIFE, width=width)}
    assert len(lengths) == 1
    assert lengths.pop() <= max(width, 65)


def test_parents_that_are_missing_or_go_round_in_circles_lose_nothing() -> None:
    odd = [span(1, 2, "a", 0, 1), span(2, 1, "b", 0, 1), span(3, 9, "c", 0, 1), span(3, 9, "c", 0, 1)]
    assert sorted(row.name for row in waterfall.rows(odd)) == ["a", "b", "c"]


def test_a_chain_of_thousands_is_drawn() -> None:
    chain = [span(n, n - 1, "deep", n, n + 1) for n in range(1, 5000)]
    assert len(text(chain)) == 4999


def test_secrets_in_names_are_not_shown() -> None:
    assert "hunter2" not in "".join(text([span(1, None, "GET /?password=hunter2", 0, 1)]))


def test_what_a_terminal_would_obey_is_not_printed() -> None:
    [line] = text([span(1, None, "GET /\x1b[2J\nforged", 0, 1)])
    assert "GET /?[2J?forged" in line
