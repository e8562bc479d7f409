"""The matrix of functions and fronts, after `pytest -v tests/contract`: how many answers of how many were equal."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

Matrix = dict[str, dict[str, list[bool]]]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    matrix: Matrix = defaultdict(lambda: defaultdict(list))
    for front, equal in _recorded(terminalreporter):
        for function, is_equal in equal:
            matrix[function][front].append(is_equal)
    if not matrix or config.get_verbosity() < 1:
        return
    fronts = list(dict.fromkeys(front for row in matrix.values() for front in row))
    terminalreporter.section("equal answers")
    terminalreporter.write_line(f"{'':24}" + "".join(f"{front:>11}" for front in fronts))
    for function, row in matrix.items():
        told = (f"{sum(row[front])}/{len(row[front])}" if row[front] else "-" for front in fronts)
        terminalreporter.write_line(f"{function:24}" + "".join(f"{text:>11}" for text in told))


def _recorded(terminalreporter: Any) -> Iterator[Any]:
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            yield from (value for name, value in getattr(report, "user_properties", []) if name == "matrix")
