"""`make check-deploy`: all that can be tried of a deployment without a cloud, and a table of what ran and what not."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.deploy.outcome import Outcome, of_report, table

PROJECT = Path(__file__).parents[2]


def main(options: Sequence[str]) -> int:
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="facet-deploy-") as folder:
        outcomes = list(checked(Path(folder), options))
    say(f"\n{table(outcomes)}\n{time.perf_counter() - begun:.0f} s")
    return int(any(each.failed for each in outcomes))


def checked(folder: Path, options: Sequence[str]) -> Iterator[Outcome]:
    say("==> tests/deploy")
    report = folder / "deploy.xml"
    command = [sys.executable, "-m", "pytest", "--deploy", "-n", "2", "-q", f"--junitxml={report}", "tests/deploy"]
    ended = subprocess.run([*command, *options], cwd=PROJECT, check=False)
    yield from of_report(report, ended.returncode)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
