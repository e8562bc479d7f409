"""What stands before functions in the cloud: how long it waits, how much it carries, what it says of failures.

A function that failed, or ran into its own timeout, is a 502 everywhere. (An HTTP API of AWS says 500.) A throttled one
is a 429, as on function URLs. What a front gives up on itself, and its own sizes, count with Lambda's limits only.
"""

from dataclasses import dataclass

from local.events import Shape

MEGABYTE = 1_048_576


@dataclass(frozen=True)
class Front:
    """`patience` in seconds, `late` the status and the words for who waited longer, `carries` in bytes either way."""

    failure: str = "Internal Server Error"
    patience: float | None = None
    late: tuple[int, str] = (504, "Gateway Time-out")
    carries: int | None = None


BALANCER = Front("Bad Gateway", carries=MEGABYTE)
FRONTS: dict[Shape, Front] = {
    "furl": Front(),
    "http": Front(patience=30, late=(503, "Service Unavailable"), carries=10 * MEGABYTE),
    "rest": Front("Internal server error", 29, (504, "Endpoint request timed out"), 10 * MEGABYTE),
    "alb": BALANCER,
    "alb-multi": BALANCER,
}
