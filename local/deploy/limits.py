"""How long a function may take, how much memory it has and how many requests at once, as the template says it."""

from local.deploy import Source
from local.template.spec import FunctionSpec

LEAST_MEMORY = 256
"""MiB; below it an interpreter with its packages has little room."""
THREADS = 8
"""How many requests a process takes at once, as `facet.serve` does without being told."""
_FEW, _PLAIN_MEMORY = 2, 512


def seconds(*specs: FunctionSpec) -> int:
    return round(max(spec.timeout for spec in specs))


def memory(spec: FunctionSpec) -> int:
    return max(spec.memory, LEAST_MEMORY)


def together(source: Source) -> tuple[int, int]:
    """Timeout (seconds) and memory (MiB) of a process that serves all HTTP functions."""
    specs = source.http
    return seconds(*specs), max(map(memory, specs))


def most(mebibytes: int) -> int:
    """The limit of such a process, which usually has far less: for the worst photos in all threads at once."""
    return 2 * mebibytes


def at_once(spec: FunctionSpec) -> int:
    """Requests a process of this function takes: fewer where each may need most of the memory, as a photo does."""
    return THREADS if memory(spec) <= _PLAIN_MEMORY else _FEW
