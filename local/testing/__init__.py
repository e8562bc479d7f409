"""The test client: `Local(template)` calls functions by HTTP, by events, through queues and schedules."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local.testing.client import Local as Local

__all__ = ["Local"]


def __getattr__(name: str) -> Any:
    """pytest imports this package for its plugin in every run: only one that uses `Local` pays for it."""
    if name == "Local":
        from local.testing.client import Local

        return Local
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
