"""`make check-deploy`: all that can be tried of a deployment without a cloud, and a table of what ran and what not.

What is given is for pytest, such as `-k health`.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.deploy import sam
from tests.deploy.outcome import Outcome, of_report, of_whole, table

BUILD = "AWS: sam build makes every function and layer"
COLD = "AWS: cold starts of the built functions, measured"
FUNCTIONS = "tests/functions through {}"
FRONTS = ("asgi", "chalice", "gcf", "azure", "wsgi")  # as tests/contract/fronts.py has them; all but AWS's own
SECONDS = 600.0
PYTEST = ("-m", "pytest", "-n", "2", "-q", "--no-header", "-p", "no:cacheprovider")


def main(options: Sequence[str]) -> int:
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="facet-deploy-") as folder:
        outcomes = list(checked(Path(folder), options))
    say(f"\n{table(outcomes)}\n\n{time.perf_counter() - begun:.0f} s")
    return int(any(each.failed for each in outcomes))


def checked(folder: Path, options: Sequence[str]) -> Iterator[Outcome]:
    begun, build = time.perf_counter(), folder / "build"
    yield (outcome := built(build))
    if not outcome.failed:
        say("\n==> the sizes of what was built")
        run("-m", "tests.deploy.sizes", str(build))
        yield measured(build)
    say("\n==> tests/deploy")
    report = folder / "deploy.xml"
    asked = (*PYTEST, "--deploy", f"--junitxml={report}", "tests/deploy", *options)
    given = {} if outcome.failed else {"FACET_BUILD": str(build)}
    yield from of_report(report, run(*asked, **given))
    yield from through_fronts(folder, os.environ.get("FRONTS", "").split(), until=begun + SECONDS, options=options)


def built(build: Path) -> Outcome:
    say("\n==> sam build")
    try:
        sam.build(build)
    except sam.BuildFailed as exc:
        say(str(exc))
        return Outcome(BUILD, failed=True, note=".venv-sam/bin/sam build")
    return Outcome(BUILD, passed=1)


def measured(build: Path) -> Outcome:
    """Alone, so that nothing else takes its time; figures pass or fail nothing."""
    say("\n==> cold starts: a new process of Lambda's Python to its first answer, median of 5")
    if not sam.LAMBDA_PYTHON.exists():
        return Outcome(COLD, note=sam.NO_PYTHON)
    failed = run("-m", "tests.deploy.cold_start", FACET_BUILD=str(build))
    return Outcome(COLD, 1, failed=bool(failed), note=".venv/bin/python -m tests.deploy.cold_start" if failed else "")


def through_fronts(folder: Path, asked: Sequence[str], *, until: float, options: Sequence[str]) -> Iterator[Outcome]:
    """The whole API by way of other runtimes, one after the other: those asked for, or as many as there is time for."""
    took = 100.0
    for front in FRONTS:
        line, again = FUNCTIONS.format(front), f"make check-deploy FRONTS={front}"
        begun = time.perf_counter()
        if front not in asked if asked else begun + took > until:
            yield Outcome(line, note=f"{'not asked for' if asked else 'ten minutes are over'}; next: {again}")
            continue
        say(f"\n==> {line}")
        report = folder / f"{front}.xml"
        code = run(*PYTEST, f"--junitxml={report}", "tests/functions", *options, FACET_TEST_ADAPTER=front)
        yield of_whole(
            line, report, code, f"FACET_TEST_ADAPTER={front} .venv/bin/python -m pytest -n 2 tests/functions"
        )
        took = time.perf_counter() - begun


def run(*arguments: str, **settings: str) -> int:
    """A program of this project."""
    done = subprocess.run([sys.executable, *arguments], cwd=sam.PROJECT, env=os.environ | settings, check=False)
    return done.returncode


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
