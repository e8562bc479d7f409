"""python -m facet.invoke NAME [JSON | -] [--scheduled]: one invocation in this process, its result as JSON.

Only the result goes to stdout; what is logged meanwhile goes to stderr. Exit code 2 says that the call is wrong, 1 that
the function failed.
"""

import argparse
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Never
from uuid import uuid4

from facet import loading, log, options
from facet.context import Context
from facet.function import Function
from facet.problems import Invalid, Problem
from facet.settings import SettingsError, settings

LONGEST = 900.0  # seconds, where FACET_TIMEOUT does not say: Lambda's longest


class WrongCall(Exception):
    """Nothing was invoked; the text says why, and what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m facet.invoke", description="Invokes a function once.")
    parser.add_argument("name", metavar="NAME", help="the function")
    parser.add_argument("event", metavar="JSON", nargs="?", default="{}", help="the event; - reads it from stdin")
    parser.add_argument("--scheduled", action="store_true", help="send the event of a schedule, due now")
    given = parser.parse_args(arguments)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            result = invoke(given.name, given.event, scheduled=given.scheduled)
    except (WrongCall, options.WrongOption, Invalid, loading.UnknownFunction) as error:
        return _say(2, f"{given.name}: {error}")
    except KeyboardInterrupt:
        return _say(130, f"{given.name}: interrupted")
    except Exception as error:  # the border: whatever it raised is told in a line
        return _say(1, f"{given.name} failed: {_told(error)}")
    print(json.dumps(result, ensure_ascii=False, default=str))
    return 0


def invoke(name: str, event: str, *, scheduled: bool) -> Any:
    """The function's result. Raises WrongCall, WrongOption, UnknownFunction, and what the function raises."""
    given = _event(sys.stdin.read() if event == "-" else event)
    timeout = options.timeout(os.environ, LONGEST)
    settings()
    with log.context():
        function = loading.load(name)
        _check(function, given, scheduled=scheduled)
        return function(_due_now(name) if scheduled else given, Context(name, timeout))


def _event(text: str) -> dict[str, Any]:
    try:
        event = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WrongCall(f"the event is no JSON ({error})") from error
    if not isinstance(event, dict):
        raise WrongCall('the event has to be a JSON object, such as {"name": "value"}')
    return event


def _check(function: Function, event: Mapping[str, Any], *, scheduled: bool) -> None:
    name = function.app_name
    if function.consumes:
        raise WrongCall(f"it consumes the messages of a queue: python -m facet.consume {name}")
    if scheduled and not function.is_scheduled:
        raise WrongCall("it has no schedule: leave out --scheduled")
    if scheduled and event:
        raise WrongCall("the event of a schedule is made here: leave out the JSON")
    if not scheduled and function.is_scheduled:
        raise WrongCall("a schedule invokes it: add --scheduled")
    if not scheduled and not function.is_internal:
        raise WrongCall(f"it answers HTTP requests only: python -m facet.serve {name}")


def _due_now(name: str) -> dict[str, Any]:
    """The event of EventBridge."""
    return {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": "Scheduled Event",
        "source": "facet.invoke",
        "time": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "resources": [name],
        "detail": {},
    }


def _told(error: Exception) -> str:
    """The failure in a line; where nobody foresaw it, the log has more."""
    if isinstance(error, Problem):
        cause = f" ({error.__cause__!r})" if error.__cause__ else ""
        return f"{error.detail}{cause}"
    if not isinstance(error, SettingsError):
        with contextlib.redirect_stdout(sys.stderr):
            log.get().error("the invocation failed", exc_info=error)
    return f"{type(error).__name__}: {error}"


def _say(code: int, text: str) -> int:
    print(f"facet.invoke: {log.redacted(text)}", file=sys.stderr)
    return code


def _end(*_: object) -> Never:
    raise SystemExit(143)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)  # the first process of a container would ignore it
    sys.exit(main())
