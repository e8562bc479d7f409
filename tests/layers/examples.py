"""Whether the examples of an OpenAPI document are what their schemas allow."""

from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]  # it ships no types


def mismatches(document: Mapping[str, Any]) -> list[str]:
    """What is wrong with each example that does not fit, with the place where it stands."""
    return [
        f"{place}: {error.message}"
        for place, schema, example in _examples(document, "#")
        for error in Draft202012Validator(
            {**schema, "components": document["components"]}, format_checker=FormatChecker()
        ).iter_errors(example)
    ]


def _examples(node: Any, place: str) -> Iterator[tuple[str, Mapping[str, Any], Any]]:
    """Each example beside a `schema`, and each of a schema's own `examples`."""
    if isinstance(node, list):
        for number, item in enumerate(node):
            yield from _examples(item, f"{place}/{number}")
    elif isinstance(node, dict):
        if "schema" in node:
            if "example" in node:
                yield place, node["schema"], node["example"]
            for name, given in node.get("examples", {}).items():
                yield f"{place}/{name}", node["schema"], given["value"]
        elif isinstance(node.get("examples"), list):
            for given in node["examples"]:
                yield place, node, given
        for name, item in node.items():
            if name not in ("example", "examples"):
                yield from _examples(item, f"{place}/{name}")
