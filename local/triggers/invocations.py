"""How a trigger invokes its function."""

from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

from local.invocation import Invocation
from local.sandbox.launcher import LaunchFailed
from local.sandbox.pool import Refused


class Failed(Exception):
    """The function was not run, or failed; the text says how."""


class Invoke(Protocol):
    async def __call__(self, name: str, event: Mapping[str, Any] | bytes, /, *, source: str) -> Invocation:
        raise NotImplementedError


async def succeeding(invoking: Awaitable[Invocation]) -> Invocation:
    """Raises Failed."""
    try:
        invocation = await invoking
    except (Refused, LaunchFailed) as exc:
        raise Failed(str(exc)) from exc
    if invocation.function_error:
        raise Failed(f"{invocation.function} failed ({invocation.report.error_type})")
    return invocation
