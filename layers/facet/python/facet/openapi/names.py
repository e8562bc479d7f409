"""The names of operations: of the function, and where it has several, of what tells them apart."""

import re
from collections.abc import Iterable, Sequence

from facet.endpoint import Endpoint


def operation_ids(endpoints: Iterable[Endpoint]) -> dict[int, str]:
    """By the endpoint's identity."""
    groups: dict[str, list[Endpoint]] = {}
    for endpoint in sorted(endpoints, key=lambda each: (len(each.path), each.path, each.method)):
        groups.setdefault(endpoint.function, []).append(endpoint)
    return {
        id(endpoint): name for group in groups.values() for endpoint, name in zip(group, _names(group), strict=True)
    }


def _names(endpoints: Sequence[Endpoint]) -> list[str]:
    """Further endpoints get what is different in their paths, or their method, behind the function's name."""
    names: list[str] = []
    known = {part.strip("{}") for part in endpoints[0].path.split("/")}
    for number, endpoint in enumerate(endpoints, start=1):
        parts = sorted((part for part in endpoint.path.split("/") if part), key=lambda part: part.startswith("{"))
        own = [part.strip("{}") for part in parts if part.strip("{}") not in known]
        suffixes = ["", *(f"_{_identifier(part)}" for part in own), f"_{endpoint.method.lower()}", f"_{number}"]
        names.append(next(name for s in suffixes if (name := endpoint.function + s) not in names))
    return names


def _identifier(text: str) -> str:
    return re.sub(r"\W+", "_", text).strip("_").lower()
