"""Which port each debugger gets."""

import contextlib
import socket
from collections.abc import Callable, Collection, Sequence

HOST, FIRST_PORT, MOST_PORTS = "127.0.0.1", 5678, 100


class NoPort(Exception):
    """No port is free for a debugger, or what was given is none."""


def free(wanted: int, taken: Collection[int] = ()) -> int:
    """This port, or the next one that nothing listens on. Raises NoPort."""
    for port in range(wanted, wanted + MOST_PORTS):
        if port not in taken:
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as debugpy does
                probe.bind((HOST, port))
                return port
    raise NoPort(f"None of the ports from {wanted} on is free on {HOST}: give another one.")


def upwards(wanted: int, taken: Collection[int]) -> int:
    """This port, or the next one that is not among these."""
    return next(port for port in range(wanted, wanted + MOST_PORTS) if port not in taken)


def of(given: Sequence[str], pick: Callable[[int, Collection[int]], int] = free) -> dict[str, int]:
    """The port of each NAME[:PORT], its own; 5678 or the next free one unless told. Raises NoPort."""
    found: dict[str, int] = {}
    for each in given:
        name, colon, port = each.partition(":")
        if colon and not (port.isdecimal() and 0 < int(port) < 65_536):
            raise NoPort(f"{each!r} is not NAME or NAME:PORT.")
        found[name] = pick(int(port or FIRST_PORT), found.values())
    return found
