"""JSON lines on stdout: who, when, which request; secrets never."""

import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from facet.settings import settings

_SECRET_WORDS = frozenset(
    ["password", "passwd", "token", "secret", "authorization", "signature", "key", "cookie", "credential"]
)
_PUBLIC_KEYS = frozenset({"object_key", "routing_key"})
_SECRETS_IN_TEXT = re.compile(
    r"eyJ[\w-]+\.[\w-]+\.[\w-]*"  # a JWT
    r"|(?<=[?&])X-Amz-[\w-]+=[^&\s\"']+"  # a presigned URL's rights
    r"|(?<=Bearer )\S+"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"  # user:password@ of an address
    r"|\$(?:argon2\w*|2[aby])\$[^\s'\")]+"  # a password hash
    r"|(?<=DETAIL:  )[^\n]+"  # what Postgres quotes of a row it refuses
    r"|(?<=input_value=).*?(?=, input_type=)",  # what pydantic quotes of an invalid value
    re.IGNORECASE | re.DOTALL,
)
_REDACTED = "[redacted]"
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_context: ContextVar[Mapping[str, str]] = ContextVar("context", default=MappingProxyType({}))


def get() -> logging.Logger:
    """The logger of this project. Extra fields: `log.get().warning("…", extra={"task": 7})`."""
    return logging.getLogger("facet")


@contextmanager
def context(**fields: str) -> Iterator[None]:
    """Puts fields, such as function and request_id, on every line logged inside."""
    _configure()
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


def trace(traceparent: object) -> dict[str, str]:
    """The trace id of a W3C `traceparent`, as fields for `context`; nothing for anything else."""
    match = _TRACEPARENT.fullmatch(traceparent) if isinstance(traceparent, str) else None
    return {"trace_id": match[1]} if match else {}


def cause(error: BaseException) -> dict[str, str]:
    """What brought an error about, as a field for `extra`; nothing where it came by itself."""
    return {"cause": repr(error.__cause__)} if error.__cause__ else {}


class _Stdout(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stdout.write(line(record) + "\n")
            sys.stdout.flush()
        except Exception:  # a line that cannot be written must not fail the request
            self.handleError(record)


def _configure() -> None:
    root = logging.getLogger()
    if any(isinstance(handler, _Stdout) for handler in root.handlers):
        return
    for handler in [h for h in root.handlers if _is_the_runtimes(h)]:
        root.removeHandler(handler)  # it would print every line a second time, as plain text and with its secrets
    root.addHandler(_Stdout())
    get().setLevel(settings().log_level)


def _is_the_runtimes(handler: logging.Handler) -> bool:
    """Whether the function runtime put it there: AWS's own class, or elsewhere a plain stream handler."""
    return type(handler) is logging.StreamHandler or type(handler).__module__.startswith("awslambdaric")


def line(record: logging.LogRecord) -> str:
    """A log record as one line of JSON."""
    fields: dict[str, Any] = {
        "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname,
        "message": _clean(record.getMessage()),
        **_context.get(),
    }
    if record.name not in ("root", "facet"):
        fields["logger"] = record.name
    if record.exc_info and record.exc_info[0] is not None:
        fields["error"] = record.exc_info[0].__name__
        fields["traceback"] = _clean(logging.Formatter().formatException(record.exc_info))
    extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    return json.dumps({**redacted(extra), **fields}, default=str, ensure_ascii=True)


def redacted(value: Any, name: str = "") -> Any:
    """A value with every secret replaced, by the names of its fields and by how secrets look."""
    if isinstance(value, Mapping):
        return {str(key): redacted(part, str(key)) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(part, name) for part in value]
    if isinstance(value, bytes | bytearray):
        return f"[{len(value)} bytes]"
    if isinstance(value, str):
        return _REDACTED if _is_secret(name) else _clean(value)
    return value


def _is_secret(name: str) -> bool:
    lower = name.lower()
    words = re.split(r"[^a-z0-9]+", lower)
    return lower not in _PUBLIC_KEYS and (lower.startswith("x-amz-") or not _SECRET_WORDS.isdisjoint(words))


def _clean(text: str) -> str:
    return _SECRETS_IN_TEXT.sub(_REDACTED, text)
