"""The trial of a function, by its name."""

from collections.abc import Callable

from tests.deploy.trials import operation, people, tasks
from tests.deploy.world import World


def trial(name: str) -> Callable[[World], None]:
    """What asks it and asserts its answer. Raises LookupError."""
    for module in (people, tasks, operation):
        if found := vars(module).get(name):
            ask: Callable[[World], None] = found
            return ask
    raise LookupError(f"no module of tests/deploy/trials tells what {name} is asked")
