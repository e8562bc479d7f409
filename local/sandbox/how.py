"""How one invocation differs from the others of its function."""

from dataclasses import dataclass


@dataclass(frozen=True)
class How:
    """`debug_port` and `frozen_at` imply `fresh`: what they change begins before the handler's import."""

    fresh: bool = False
    """A new interpreter for this one call, ended after it: the true cold start."""
    debug_port: int | None = None
    """debugpy listens on 127.0.0.1 there and waits for its client; the call has no timeout."""
    frozen_at: float | None = None
    """The clock stands still at this time, in seconds since 1970."""
    client_context: str | None = None
    """JSON for `context.client_context`."""

    @property
    def alone(self) -> bool:
        """Whether it gets an environment of its own."""
        return self.fresh or self.debug_port is not None or self.frozen_at is not None
