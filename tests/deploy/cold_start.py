"""`python -m tests.deploy.cold_start [FUNCTION ...]`: how long built functions take from nothing to their first answer.

A new process of Lambda's Python, the import, the connections to database, broker and storage, and the answer of what
tests/deploy/trials asks. Nothing here passes or fails: time is of the machine. FACET_BUILD may name
a folder of `sam build`.
"""

import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from local.testing import services
from tests import budgets
from tests.deploy import sam
from tests.deploy.imports import imports_of

if TYPE_CHECKING:
    from tests.deploy.world import World

TIMES = 5
READING = ("get_task_status", "list_api_keys", "export_data", "list_users", "show_task")
SIGNING = ("get_profile_info", "get_generation_history", "get_task", "get_task_result", "get_task_file", "list_tasks")
WANTED = dict.fromkeys(READING, 350) | dict.fromkeys((*SIGNING, "create_upload"), 450)  # milliseconds
HEAD = f"{'function':<24}{'import':>9}{'modules':>9}{'packages':>10}{'cold start':>12}{'wanted':>10}{'memory':>9}"


def main(names: Sequence[str]) -> int:
    if not sam.LAMBDA_PYTHON.exists():
        print(sam.NO_PYTHON)
        return 1
    sys.path += [str(sam.PROJECT / path) for path in ("layers/facet/python", "shared")]  # where pytest finds them too
    with tempfile.TemporaryDirectory(prefix="facet-cold-") as folder, running(Path(folder)) as world:
        print(HEAD, flush=True)
        for name in names or budgets.functions():
            print(row(world, name), flush=True)
    return 0


@contextmanager
def running(folder: Path) -> Iterator["World"]:
    from tests.deploy.world import made

    build = Path(os.environ.get("FACET_BUILD", folder / "build"))
    if not build.exists():
        sam.build(build)
    run = services.Run(folder / "services", os.getpid())
    try:
        at = run.services()
        own = services.database(at, "cold"), services.broker(at, "cold"), services.buckets(at, "cold")
        settings = {name: value for part in (services.secret(), *own) for name, value in part.items()}
        with made(build, folder, settings) as ready:
            yield ready
    finally:
        run.end()


def row(world: "World", name: str) -> str:
    found = imports_of(world.deployed, name)
    ms = statistics.median([imports_of(world.deployed, name).ms for _ in range(TIMES)])
    cold, memory = zip(*(cold_start(world, name) for _ in range(TIMES)), strict=True)
    modules, packages = found.imports.modules, len(found.imports.packages)
    wanted = f"< {WANTED[name]} ms" if name in WANTED else ""
    times = f"{ms:6.0f} ms{modules:9}{packages:10}{statistics.median(cold):9.0f} ms{wanted:>10}"
    return f"{name:<24}{times}{max(memory):6} MB"


def cold_start(world: "World", name: str) -> tuple[float, int]:
    """Milliseconds from the start of a process to its first answer, and the megabytes it had."""
    from tests.deploy.trials.named import trial

    world.deployed.recycle(name)
    done = world.deployed.finished
    done.clear()
    trial(name)(world)
    report = next(each.report for each in done if each.function == name and each.report.cold)
    return report.billed_ms, report.max_memory_mb


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
