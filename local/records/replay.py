"""Invokes a recorded event again, at the time at which it was first handled, and compares the answers."""

from typing import Any

from local.invoker import Invoker
from local.records.record import Record
from local.records.recorder import REPLAY, Recorder
from local.sandbox.how import How


class CannotReplay(Exception):
    """The record is not whole any more; the text says what to do."""


async def replay(
    recorder: Recorder, invoker: Invoker, record: Record, *, keep_clock: bool, debug_port: int | None
) -> dict[str, Any]:
    """The answers and what differs of the settings. `keep_clock` leaves the clock as it is now.

    Raises CannotReplay and what Invoker.invoke raises.
    """
    if not record.whole:
        raise CannotReplay(
            f"{record.request_id} was cut to make room: only the beginning of its event and answer is kept. "
            "Send the request again and replay the new record."
        )
    how = How(frozen_at=None if keep_clock else record.began, debug_port=debug_port)
    again = await invoker.invoke(
        record.function, record.event, request_id=record.request_id, trace=record.trace, source=REPLAY, how=how
    )
    return {
        "request_id": record.request_id,
        "function": record.function,
        "same": (again.payload, again.function_error is None) == (record.payload, record.status == "success"),
        "payload": again.payload.decode(errors="replace"),
        "function_error": again.function_error,
        "recorded": record.payload.decode(errors="replace"),
        "settings_changed": recorder.fingerprint(invoker.template.functions.get(record.function)) != record.environment,
        "log": again.log,
        "report": str(again.report),
    }
