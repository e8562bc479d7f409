"""What `facet up` remembers of each invocation, and when it forgets everything."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from local.invocation import Invocation
from local.records.record import http_status
from local.records.ring import Ring
from local.template.spec import FunctionSpec

REPLAY = "replay"
"""The source of invocations that repeat a record: they are no records themselves."""


class Recorder:
    """`functions` are those of the template just now, `logs` the folder of what they print."""

    def __init__(self, ring: Ring, functions: Callable[[], Mapping[str, FunctionSpec]], *, logs: Path) -> None:
        self.ring = ring
        self._functions, self._logs = functions, logs
        self._fingerprints: dict[str, tuple[Mapping[str, str], str]] = {}

    def __call__(self, done: Invocation) -> None:
        """Keep a finished invocation; after one that erased somebody's data nothing is kept."""
        spec = self._functions().get(done.function)
        if spec and spec.clears_records and not done.function_error and (http_status(done.payload) or 200) < 400:
            self.ring.clear()
            self._empty_logs()
        elif done.source != REPLAY:
            self.ring.add(done, self.fingerprint(spec))

    def fingerprint(self, spec: FunctionSpec | None) -> str:
        """Differs when the function's settings do; tells nothing of them."""
        if spec is None:
            return ""
        environment, found = self._fingerprints.get(spec.name, ({}, ""))
        if not found or environment is not spec.environment:
            found = hashlib.sha256(json.dumps(dict(spec.environment), sort_keys=True).encode()).hexdigest()
            self._fingerprints[spec.name] = spec.environment, found
        return found

    def _empty_logs(self) -> None:
        """Functions print what they like. The files stay: they are open for appending."""
        for old in self._logs.glob("*.log.1"):
            old.unlink(missing_ok=True)
        for file in self._logs.glob("*.log"):
            os.truncate(file, 0)


def is_on(setting: str, *, whole: bool) -> bool:
    """FACET_RECORDS is `on` or `off`; unset it is on for the `whole` stack, whose data is made up.

    Where functions run alone, as in containers, requests are those of people.
    """
    return {"on": True, "off": False}.get(setting.lower(), whole)
