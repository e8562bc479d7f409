"""`make fuzz`: thousands of requests that the document allows or forbids, and no answer may surprise.

A stack of its own is started for them. CASES says how many they are at least, SEED repeats a run; the reports stay in
the state directory.
"""

import os
import random
import sys
import time
from itertools import count, product
from pathlib import Path

from tests.fuzz.runs import OPTIONS, SETTINGS, Audience, Outcome, credentials, fuzz
from tests.stacks import PROJECT, running

AUDIENCES: tuple[Audience, ...] = ("user", "integration")
EXAMPLES = 100  # an operation's cases, or sequences of calls
SECONDS = {"examples,coverage,fuzzing": None, "stateful": 90}  # sequences are made up anew for so long


def main() -> int:
    wanted = int(os.environ.get("CASES", "10000"))
    seed = int(os.environ.get("SEED") or random.randrange(10**6))
    folder = (
        Path(os.environ.get("FACET_STATE", PROJECT / ".facet")).absolute() / "fuzz" / time.strftime("%Y%m%d-%H%M%S")
    )
    folder.mkdir(parents=True)
    begun, cases, failed = time.monotonic(), 0, 0
    with running(folder, options=OPTIONS, settings=SETTINGS) as stack:
        for turn in count():
            reports = folder / f"round-{turn + 1}"
            reports.mkdir()
            given = credentials(stack)
            for audience, phases in product(AUDIENCES, SECONDS):
                outcome = fuzz(
                    stack,
                    audience,
                    given,
                    reports=reports,
                    phases=phases,
                    examples=EXAMPLES,
                    seed=seed + turn,
                    seconds=SECONDS[phases],
                )
                cases, failed = cases + outcome.cases, failed + (not outcome.passed)
                _say(f"{audience}, {phases}, seed {seed + turn}", outcome)
            if cases >= wanted or failed:
                break
    sys.stdout.write(f"{cases} cases in {time.monotonic() - begun:.0f} s, {failed} runs failed; reports: {folder}\n")
    return 1 if failed or cases < wanted else 0


def _say(run: str, outcome: Outcome) -> None:
    """One line for a run without findings, and for one with findings all it said."""
    found = "passed" if outcome.passed else f"FAILED\n{outcome.said}"
    sys.stdout.write(f"{run}: {outcome.cases} cases, {found}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
