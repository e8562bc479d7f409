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
from tests.deploy.outcome import Outcome, of_report, table

BUILD = "AWS: sam build makes every function and layer"
COLD = "AWS: cold starts of the built functions, measured"


def main(options: Sequence[str]) -> int:
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="facet-deploy-") as folder:
        outcomes = list(checked(Path(folder), options))
    say(f"\n{table(outcomes)}\n\n{time.perf_counter() - begun:.0f} s")
    return int(any(each.failed for each in outcomes))


def checked(folder: Path, options: Sequence[str]) -> Iterator[Outcome]:
    build = folder / "build"
    yield built(build)
    if build.exists():
        say("\n==> the sizes of what was built")
        run("-m", "tests.deploy.sizes", str(build))
        yield measured(build)
    say("\n==> tests/deploy")
    report = folder / "deploy.xml"
    pytest = ("-m", "pytest", "--deploy", "-n", "2", "-q", "--no-header", "-p", "no:cacheprovider")
    yield from of_report(report, run(*pytest, f"--junitxml={report}", "tests/deploy", *options, build=build))


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
    failed = run("-m", "tests.deploy.cold_start", build=build)
    return Outcome(COLD, 1, failed=bool(failed), note=".venv/bin/python -m tests.deploy.cold_start" if failed else "")


def run(*arguments: str, build: Path | None = None) -> int:
    """A program of this project; without a build it makes its own."""
    given = {"FACET_BUILD": str(build)} if build and build.exists() else {}
    return subprocess.run([sys.executable, *arguments], cwd=sam.PROJECT, env=os.environ | given, check=False).returncode


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
