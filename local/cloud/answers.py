"""What a running stack answers on its control socket: the one list of its verbs."""

import asyncio
import os
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from local.cloud import control, status
from local.cloud.triggers import Triggers
from local.invocation import Invocation
from local.invoker import Invoker, UnknownFunction
from local.records.replay import CannotReplay, replay
from local.records.ring import RecordNotFound, RecordsUnreadable
from local.sandbox.how import How
from local.sandbox.launcher import LaunchFailed
from local.sandbox.pool import Refused
from local.triggers import schedule
from local.triggers.schedule import UnknownSchedule

if TYPE_CHECKING:
    from local.cloud.up import Stack

Arguments = Mapping[str, Any]


class Answers:
    """Each verb takes the call's arguments and returns plain data. Raises control.Refused with the reason."""

    def __init__(self, stack: "Stack") -> None:
        self._stack = stack
        self.verbs: dict[str, control.Answer] = {"status": self._status, "stop": self._stop, "invoke": self._invoke}
        self.verbs |= {"replay": self._replay}
        self.verbs |= {"schedules": self._schedules, "run_schedule": self._run_schedule}

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
        how = How(fresh=bool(arguments.get("fresh")), debug_port=arguments.get("debug_port"))
        try:
            invocation = await self.invoker.invoke(arguments["name"], arguments["event"], how=how)
        except (UnknownFunction, LaunchFailed, Refused) as exc:
            raise control.Refused(str(exc)) from exc
        return _told(invocation)

    async def _replay(self, arguments: Arguments) -> dict[str, Any]:
        recorder, kept, port = self._stack.recorder, bool(arguments.get("keep_clock")), arguments.get("debug_port")
        if recorder is None:
            raise control.Refused("This `facet up` keeps no records. FACET_RECORDS=on has it keep some.")
        try:
            record = await asyncio.to_thread(recorder.ring.find, arguments["id"])
            return await replay(recorder, self.invoker, record, keep_clock=kept, debug_port=port)
        except (RecordNotFound, RecordsUnreadable, CannotReplay, UnknownFunction, LaunchFailed, Refused) as exc:
            raise control.Refused(str(exc)) from exc

    async def _schedules(self, arguments: Arguments) -> list[dict[str, Any]]:
        return [trigger.described() for trigger in self._triggers.schedules]

    async def _run_schedule(self, arguments: Arguments) -> dict[str, Any]:
        """Once, now or as if it were the moment `at` (ISO 8601)."""
        moment = datetime.fromisoformat(arguments["at"]) if arguments.get("at") else None
        try:
            trigger = schedule.named(self._triggers.schedules, arguments["name"])
            return _told(await trigger.fire(moment, invoke=self.invoker.invoke))
        except (UnknownSchedule, LaunchFailed, Refused) as exc:
            raise control.Refused(str(exc)) from exc

    @property
    def _triggers(self) -> Triggers:
        if self._stack.triggers is None:
            raise control.Refused("Triggers are not running yet, or not in this `facet up`. See `facet status`.")
        return self._stack.triggers


def _told(invocation: Invocation) -> dict[str, Any]:
    return {
        "request_id": invocation.request_id,
        "payload": invocation.payload.decode(errors="replace"),
        "function_error": invocation.function_error,
        "log": invocation.log,
        "init_ms": invocation.report.init_ms,
        "imports": [(each.module, each.ms) for each in invocation.report.imports],
    }
