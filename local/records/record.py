"""What is kept of one finished invocation."""

import re
from dataclasses import dataclass

from local import xray
from local.invocation import Invocation

_HTTP_STATUS = re.compile(rb'(?<!\\)"statusCode"\s*:\s*"?([1-5]\d\d)\b')
_LOOKED_AT = 4096


@dataclass(frozen=True)
class Record:
    """Times are seconds since 1970. `whole` is false when event, answer and log were cut to make room."""

    request_id: str
    function: str
    source: str
    started: float
    began: float
    """When the handler began: what a replay freezes its clock to."""
    duration_ms: float
    init_ms: float | None
    status: str
    """success, error or timeout, as the REPORT line says."""
    error_type: str | None
    http_status: int | None
    trace: str
    trace_id: str
    environment: str
    """A fingerprint of the settings the function had."""
    report: str
    whole: bool
    event: bytes
    payload: bytes
    log: str

    @classmethod
    def of(cls, done: Invocation, environment: str) -> "Record":
        return cls(
            request_id=done.request_id,
            function=done.function,
            source=done.source,
            started=done.started,
            began=done.began or done.started,
            duration_ms=done.report.duration_ms,
            init_ms=done.report.init_ms,
            status=done.report.status,
            error_type=done.report.error_type,
            http_status=None if done.function_error else http_status(done.payload),
            trace=done.trace,
            trace_id=xray.ids(done.trace)[0] or "",
            environment=environment,
            report=str(done.report),
            whole=True,
            event=done.event,
            payload=done.payload,
            log=done.log.encode("utf-8", "backslashreplace").decode(),
        )


def http_status(payload: bytes) -> int | None:
    """The status of an answer to HTTP; megabytes are not parsed for it."""
    found = _HTTP_STATUS.search(payload[:_LOOKED_AT]) or _HTTP_STATUS.search(payload[-_LOOKED_AT:])
    return int(found[1]) if found else None
