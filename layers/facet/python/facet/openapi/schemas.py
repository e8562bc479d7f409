"""The JSON schemas of models, and what becomes parameters instead."""

import inspect
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from facet.endpoint import Endpoint
from facet.openapi.examples import example_of

Schema = dict[str, Any]

REFERENCE = "#/components/schemas/{model}"

_FAULT: Schema = {
    "type": "object",
    "required": ["type", "loc", "msg"],
    "properties": {
        "type": {"type": "string"},
        "loc": {"type": "array", "items": {"type": ["string", "integer"]}},
        "msg": {"type": "string"},
    },
    "examples": [{"type": "missing", "loc": ["body", "email"], "msg": "Field required"}],
}
_FAULTS: Schema = {"type": "array", "items": {"$ref": REFERENCE.format(model="Fault")}}
_PROBLEM: Schema = {
    "type": "object",
    "description": "A failure (RFC 9457). `code` is stable; texts may change. `type` leads to what the code means.",
    "required": ["type", "title", "status", "detail", "instance", "code", "request_id", "retryable"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string", "format": "uri-reference"},
        "code": {"type": "string"},
        "request_id": {"type": "string"},
        "retryable": {"type": "boolean", "description": "Whether the same request may succeed later."},
        "errors": {**_FAULTS, "description": "Which values are at fault, and why."},
    },
}
_KEPT_FAILURE: Schema = {
    "type": "object",
    "description": "A failure as clients get it that do not ask for application/problem+json.",
    "required": ["detail"],
    "properties": {"detail": {"anyOf": [{"type": "string"}, _FAULTS]}},
}
FAILURES = {"Problem": _PROBLEM, "KeptFailure": _KEPT_FAILURE, "Fault": _FAULT}


class _Generator(GenerateJsonSchema):
    """What is answered has all of its fields, those with defaults too."""

    def field_is_required(self, field: Any, total: bool) -> bool:
        if self.mode == "serialization" and field["type"] == "model-field":
            return True
        return super().field_is_required(field, total)


class Models:
    """The JSON schemas of all models at once, so that equal names are told apart."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        used: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {}
        parameters: set[type[BaseModel]] = set()
        for endpoint in endpoints:
            parameters |= {model for model in (endpoint.query, endpoint.headers) if model is not None}
            for model in (endpoint.body, endpoint.form, endpoint.query, endpoint.headers):
                if model is not None:
                    used[(model, "validation")] = None
            if endpoint.returns is not None:
                used[(endpoint.returns, "serialization")] = None
        self._references, definitions = models_json_schema(
            list(used), ref_template=REFERENCE, schema_generator=_Generator
        )
        self.schemas: dict[str, Schema] = definitions.get("$defs", {})
        # What becomes parameters is no schema of its own.
        self._parameters = {model: self.schemas.pop(self._name(model)) for model in sorted(parameters, key=str)}

    def _name(self, model: type[BaseModel]) -> str:
        return str(self._references[(model, "validation")]["$ref"]).rpartition("/")[2]

    def content(self, model: type[BaseModel], mode: JsonSchemaMode) -> Schema:
        """A media type's schema and an example of it."""
        schema = self._references[(model, mode)]
        return {"schema": schema, "example": example_of(schema, self.schemas)}

    def form(self, model: type[BaseModel]) -> Schema:
        """A form's schema; a file's `contentMediaType` is said where forms say it."""
        schema = self._references[(model, "validation")]
        fields = self.schemas[self._name(model)].get("properties", {})
        types = {name: field["contentMediaType"] for name, field in fields.items() if "contentMediaType" in field}
        encoding = {name: {"contentType": media_type} for name, media_type in types.items()}
        return {"schema": schema, "encoding": encoding} if encoding else {"schema": schema}

    def properties(self, model: type[BaseModel] | None, mode: JsonSchemaMode) -> dict[str, Schema]:
        """The fields of a model by the names they are sent by."""
        if model is None:
            return {}
        name = str(self._references[(model, mode)]["$ref"]).rpartition("/")[2]
        fields: dict[str, Schema] = self.schemas[name].get("properties", {})
        return fields

    def parameters(self, model: type[BaseModel] | None, where: str) -> list[Schema]:
        if model is None:
            return []
        schema = self._parameters[model]
        required = schema.get("required", [])
        return [self._parameter(name, where, name in required, field) for name, field in schema["properties"].items()]

    def _parameter(self, name: str, where: str, required: bool, schema: Schema) -> Schema:
        schema = _without_null(schema)
        bare = {key: value for key, value in schema.items() if key not in ("title", "description", "examples")}
        parameter: Schema = {"name": name, "in": where, "required": required, "schema": bare}
        if "description" in schema:
            parameter["description"] = schema["description"]
        if schema.get("examples"):
            parameter["example"] = schema["examples"][0]
        elif required:
            parameter["example"] = example_of(bare, self.schemas, name)
        return parameter

    def path_parameters(self, endpoint: Endpoint) -> list[Schema]:
        signature = inspect.signature(endpoint.view, eval_str=True).parameters
        found = []
        for name in endpoint.path_names:
            schema = TypeAdapter(signature[name].annotation if name in signature else str).json_schema()
            if name == "uuid" and schema == {"type": "string"}:  # one that is none names nothing: 404
                schema["format"] = "uuid"
            found.append(self._parameter(name, "path", True, schema))
        return found


def _without_null(schema: Schema) -> Schema:
    """An absent parameter is None to us, but nobody can send null."""
    if "anyOf" not in schema:
        return schema
    kinds = [kind for kind in schema["anyOf"] if kind.get("type") != "null"]
    rest = {key: value for key, value in schema.items() if key != "anyOf" and (key, value) != ("default", None)}
    return {**kinds[0], **rest} if len(kinds) == 1 else {**rest, "anyOf": kinds}
