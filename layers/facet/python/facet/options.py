"""What the environment says of a process: all of one that serves, and numbers of any."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Number = TypeVar("Number", int, float)


class WrongOption(Exception):
    """A variable of the process cannot be used; the text says which, and what it has to be."""


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
        """`names` stand before FACET_FUNCTION. Raises WrongOption."""
        return cls(
            names=list(dict.fromkeys(names or environ.get("FACET_FUNCTION", "").replace(",", " ").split() or ["all"])),
            host=environ.get("HOST") or "0.0.0.0",  # noqa: S104  # a container is reached from outside
            port=number(environ, "PORT", 8080, int, 0, 65_535),
            processes=number(environ, "WEB_CONCURRENCY", 1, int, 1, 256),
            threads=number(environ, "FACET_THREADS", 8, int, 1, 1024),
            timeout=timeout(environ),
            grace=number(environ, "FACET_GRACE", 25.0, float, 0, 86_400),
        )


def number(
    environ: Mapping[str, str], name: str, default: Number, kind: Callable[[str], Number], least: float, most: float
) -> Number:
    """A variable that is a number, or the default. Raises WrongOption for one outside `least` to `most`."""
    text = environ.get(name) or str(default)
    try:
        value = kind(text)
    except ValueError:
        value = None
    said = "a whole number" if kind is int else "a number"
    if value is None or not least <= value <= most:
        raise WrongOption(f"{name} is {text[:40]!r}, and has to be {said} from {least:g} to {most:g}.")
    return value


def timeout(environ: Mapping[str, str], default: float = 30.0) -> float:
    """The seconds that a function is told it has: FACET_TIMEOUT. Raises WrongOption."""
    return number(environ, "FACET_TIMEOUT", default, float, 0.1, 86_400)
