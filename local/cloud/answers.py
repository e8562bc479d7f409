"""What a running stack answers on its control socket: the one list of its verbs."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from local.cloud import control, status
from local.invoker import Invoker, UnknownFunction
from local.sandbox.launcher import LaunchFailed
from local.sandbox.pool import Refused

if TYPE_CHECKING:
    from local.cloud.up import Stack

Arguments = Mapping[str, Any]


class Answers:
    """Each verb takes the call's arguments and returns plain data. Raises control.Refused with the reason."""

    def __init__(self, stack: "Stack") -> None:
        self._stack = stack
        self.verbs: dict[str, control.Answer] = {"status": self._status, "stop": self._stop, "invoke": self._invoke}

    @property
    def invoker(self) -> Invoker:
        if self._stack.invoker is None:
            raise control.Refused("Functions are not running yet, or not in this `facet up`. See `facet status`.")
        return self._stack.invoker

    async def _status(self, arguments: Arguments) -> dict[str, Any]:
        return status.described(self._stack)

    async def _stop(self, arguments: Arguments) -> dict[str, Any]:
        self._stack.stopping.set()
        return {"pid": os.getpid()}

    async def _invoke(self, arguments: Arguments) -> dict[str, Any]:
        try:
            invocation = await self.invoker.invoke(arguments["name"], arguments["event"])
        except (UnknownFunction, LaunchFailed, Refused) as exc:
            raise control.Refused(str(exc)) from exc
        return {
            "request_id": invocation.request_id,
            "payload": invocation.payload.decode(errors="replace"),
            "function_error": invocation.function_error,
            "log": invocation.log,
        }
