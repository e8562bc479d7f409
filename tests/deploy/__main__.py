"""`make check-deploy`: all that can be tried of a deployment without a cloud, and a table of what ran and what not.

What is given is for pytest in tests/deploy, such as `-k health`; FRONTS names those to ask tests/functions through.
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
SLOWER = 1.6  # tests/functions takes so much longer than tests/deploy
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
    before = time.perf_counter()
    yield from of_report(report, run(*asked, **given))
    expected = (time.perf_counter() - before) * SLOWER
    yield from through_fronts(folder, os.environ.get("FRONTS", "").split(), until=begun + SECONDS, took=expected)


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


def through_fronts(folder: Path, asked: Sequence[str], *, until: float, took: float) -> Iterator[Outcome]:
    """The whole API by way of other runtimes, one after the other: those asked for, or as many as there is time for."""
    for front in FRONTS:
        line, again = FUNCTIONS.format(front), f"make check-deploy FRONTS={front}"
        begun = time.perf_counter()
        if front not in asked if asked else begun + took > until:
            why = "not asked for" if asked else "ten minutes are too few for it here"
            yield Outcome(line, note=f"{why}; next: {again}")
            continue
        say(f"\n==> {line}")
        report = folder / f"{front}.xml"
        code = run(*PYTEST, f"--junitxml={report}", "tests/functions", FACET_TEST_ADAPTER=front)
        alone = f"FACET_TEST_ADAPTER={front} .venv/bin/python -m pytest -n 2 tests/functions"
        yield of_whole(line, report, code, alone)
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
