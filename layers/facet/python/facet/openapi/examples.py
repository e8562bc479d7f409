"""An example of a schema: what its fields give as examples, else the simplest value that fits."""

from collections.abc import Callable, Mapping
from typing import Any

Schema = Mapping[str, Any]
Schemas = Mapping[str, Schema]

_BY_FORMAT = {
    "uuid": "0a9c7f1e-52f4-4d0e-8c39-6a5f0d2b7e11",
    "date-time": "2026-11-22T18:54:08.959232Z",
    "uri": "https://storage.example.org/3d-files/avatar.glb",
    "email": "ada@example.org",
}


class NoExample(Exception):
    """A schema has no examples and none can be made up, such as one with a pattern."""


def example_of(schema: Schema, schemas: Schemas, where: str = "") -> Any:
    """Raises NoExample, naming the field."""
    if schema.get("examples"):
        return schema["examples"][0]
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("default") is not None:
        return schema["default"]
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return example_of(schemas[name], schemas, name)
    for alternatives in ("anyOf", "oneOf", "allOf"):
        if alternatives in schema:
            first = next(each for each in schema[alternatives] if each.get("type") != "null")
            return example_of(first, schemas, where)
    return _of_type(schema, schemas, where)


def _of_type(schema: Schema, schemas: Schemas, where: str) -> Any:
    kinds = schema.get("type", "object")
    kind = kinds if isinstance(kinds, str) else kinds[0]
    make: dict[str, Callable[[], Any]] = {
        "object": lambda: _object(schema, schemas, where),
        "array": lambda: [example_of(schema["items"], schemas, f"{where}[]")] if schema.get("items") else [],
        "string": lambda: _string(schema, where),
        "integer": lambda: int(schema.get("minimum", 1)),
        "number": lambda: float(schema.get("minimum", 1)),
        "boolean": lambda: True,
        "null": lambda: None,
    }
    return make[kind]()


def _object(schema: Schema, schemas: Schemas, where: str) -> dict[str, Any]:
    fields = schema.get("properties", {})
    return {name: example_of(field, schemas, f"{where}.{name}") for name, field in fields.items()}


def _string(schema: Schema, where: str) -> str:
    if "pattern" in schema:
        raise NoExample(f"{where} has a pattern: give its field examples=[...]")
    text = _BY_FORMAT.get(schema.get("format", ""), "text")
    return text.ljust(schema.get("minLength", 0), "t")[: schema.get("maxLength")]
