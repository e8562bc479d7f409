"""What the environment says of a process that serves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Number = TypeVar("Number", int, float)


class CannotServe(Exception):
    """Nothing can be served like this; the text says why, and what to do."""


@dataclass(frozen=True)
class Options:
    """The environment of a process that serves. Times are in seconds."""

    names: Sequence[str]
    host: str
    port: int
    processes: int
    threads: int
    timeout: float
    grace: float

    @classmethod
    def read(cls, environ: Mapping[str, str], names: Sequence[str] = ()) -> "Options":
        """`names` stand before FACET_FUNCTION. Raises CannotServe."""
        return cls(
            names=list(dict.fromkeys(names or environ.get("FACET_FUNCTION", "").replace(",", " ").split() or ["all"])),
            host=environ.get("HOST") or "0.0.0.0",  # noqa: S104  # a container is reached from outside
            port=_number(environ, "PORT", 8080, int, 0, 65_535),
            processes=_number(environ, "WEB_CONCURRENCY", 1, int, 1, 256),
            threads=_number(environ, "FACET_THREADS", 8, int, 1, 1024),
            timeout=_number(environ, "FACET_TIMEOUT", 30.0, float, 0.1, 86_400),
            grace=_number(environ, "FACET_GRACE", 25.0, float, 0, 86_400),
        )


def _number(
    environ: Mapping[str, str], name: str, default: Number, kind: Callable[[str], Number], least: float, most: float
) -> Number:
    text = environ.get(name) or str(default)
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not least <= value <= most:
        raise CannotServe(f"{name} is {text[:40]!r}, and has to be a number from {least:g} to {most:g}.")
    return value
