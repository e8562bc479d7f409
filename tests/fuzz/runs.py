"""A run of schemathesis against a running stack, as a signed-in user or as an outside system."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.compat.frontend import Frontend
from tests.stacks import PROJECT, Stack

Audience = Literal["user", "integration"]

SETTINGS = {"ACCESS_TOKEN_EXPIRE_MINUTES": "1440"}
OPTIONS = ("--no-agent",)  # everybody here is in test mode, whose tasks end without one
CONFIG = Path(__file__).with_name("schemathesis.toml")
_OF_AUDIENCE: Mapping[Audience, Sequence[str]] = {
    "user": ("--exclude-path-regex", "^/integrations/"),
    "integration": ("--include-path-regex", "^/integrations/"),
}


@dataclass(frozen=True)
class Outcome:
    """`passed` also means that no check found anything. `said` is what schemathesis printed."""

    passed: bool
    cases: int
    said: str


def credentials(stack: Stack) -> dict[str, str]:
    """A user, and an API key of another one, so that neither run ends the other's; both in test mode."""
    with Frontend(stack.api) as frontend:
        user, owner = frontend.sign_up(), frontend.sign_up()
    for account in (user, owner):
        stack.facet("user", "test-mode", account.email, "on")
    key = stack.facet("apikey", "create", "fuzz", "--user", owner.email).stdout.strip().splitlines()[-1]
    return {"FUZZ_API": stack.api, "FUZZ_TOKEN": user.access_token, "FUZZ_EMAIL": user.email, "FUZZ_KEY": key}


def fuzz(
    stack: Stack,
    audience: Audience,
    given: Mapping[str, str],
    *,
    reports: Path,
    phases: str,
    examples: int,
    seed: int,
    seconds: int | None = None,
) -> Outcome:
    """At most `examples` cases an operation, or sequences of calls; with `seconds`, again and again for so long.

    Raises AssertionError when schemathesis ended without a report.
    """
    report = reports / f"{audience}-{phases.replace(',', '-')}.json"
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIG), "run"]
    command += [f"{stack.gateway}/openapi.json", "--url", stack.api, *_OF_AUDIENCE[audience], "--phases", phases]
    command += ["--report", "json,ndjson", "--report-json-path", str(report)]
    command += ["--report-ndjson-path", str(report.with_suffix(".ndjson")), "--no-color"]
    command += ["--max-examples", str(examples), "--seed", str(seed)]
    command += [] if seconds is None else ["--max-time", str(seconds)]
    run = subprocess.run(
        command,
        cwd=PROJECT,
        env={**os.environ, **given, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert report.is_file(), f"schemathesis ended with {run.returncode} and no report:\n{run.stdout}"
    told = json.loads(report.read_text())
    passed = run.returncode == 0 and told["complete"] and not told["operations"]["errored"]
    return Outcome(passed, told["test_cases"]["generated"], run.stdout)
