"""What became of a check: a line of the table with which `make check-deploy` ends."""

import ast
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

from defusedxml import ElementTree

PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Outcome:
    line: str
    passed: int = 0
    failed: bool = False
    note: str = ""
    """Why something did not run, or the next command where it failed."""

    @property
    def result(self) -> str:
        if self.failed:
            return f"FAILED; next: {self.note}"
        if not self.passed:
            return f"did not run: {self.note}"
        return f"passed ({self.passed})" + (f"; in part did not run: {self.note}" if self.note else "")


def of_report(report: Path, code: int) -> Iterator[Outcome]:
    """An outcome for each module of a pytest run, by its JUnit report."""
    if not report.exists():
        yield Outcome("the tests themselves", failed=True, note="see above what pytest says")
        return
    modules: dict[str, list[Element]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        modules.setdefault(_module(case), []).append(case)
    for module, cases in sorted(modules.items()):
        yield _of_module(module, cases)
    if code and not any(case.find(kind) is not None for case in _all(modules) for kind in ("failure", "error")):
        yield Outcome("the tests themselves", failed=True, note=f"see above why pytest ended with {code}")


def of_whole(line: str, report: Path, code: int, again: str) -> Outcome:
    """One outcome for a whole pytest run; `again` is the command that runs it alone."""
    cases = list(ElementTree.parse(report).iter("testcase")) if report.exists() else []
    passed = sum(_kind(case) == "passed" for case in cases)
    return Outcome(line, passed, failed=bool(code), note=again if code else _skipped(cases))


def table(outcomes: Sequence[Outcome]) -> str:
    width = max(len(each.line) for each in outcomes)
    return "\n".join(f"{each.line:<{width}}  {each.result}" for each in outcomes)


def _of_module(module: str, cases: Sequence[Element]) -> Outcome:
    path = PROJECT / (module.replace(".", "/") + ".py")
    kinds = Counter(_kind(case) for case in cases)
    if kinds["failed"]:
        command = f".venv/bin/python -m pytest --deploy {path.relative_to(PROJECT)}"
        return Outcome(_title(path), failed=True, note=command)
    return Outcome(_title(path), kinds["passed"], note=_skipped(cases))


def _skipped(cases: Sequence[Element]) -> str:
    """The reasons, each once."""
    found = (case.find("skipped") for case in cases)
    return "; ".join(dict.fromkeys(skip.get("message", "") for skip in found if skip is not None))


def _title(path: Path) -> str:
    """The first line of its docstring: what it holds to be true."""
    return (ast.get_docstring(ast.parse(path.read_text())) or path.name).splitlines()[0].rstrip(".")


def _module(case: Element) -> str:
    """A module that cannot be imported has its name where others have that of the test."""
    return str(case.get("classname") or case.get("name"))


def _kind(case: Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"


def _all(modules: dict[str, list[Element]]) -> Iterator[Element]:
    for cases in modules.values():
        yield from cases
