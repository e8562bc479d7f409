"""The OpenAPI 3.1 document of a set of functions, from what their endpoints declare."""

import inspect
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from facet import broker, db, limits, objects
from facet.endpoint import Endpoint
from facet.function import Function
from facet.problems import BodyTooLarge, Invalid, MalformedBody, Problem, UnsupportedMediaType, details
from facet.settings import Settings

Schema = dict[str, Any]

_REFERENCE = "#/components/schemas/{model}"
_LAYERS: Mapping[str, type[Problem]] = {
    "facet.db": db.Unavailable,
    "facet.objects": objects.Unavailable,
    "facet.broker": broker.Unavailable,
}
_SECURITY = {
    "accessToken": {"type": "apiKey", "in": "header", "name": "access-token"},
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_FAULT: Schema = {
    "type": "object",
    "required": ["type", "loc", "msg"],
    "properties": {
        "type": {"type": "string"},
        "loc": {"type": "array", "items": {"type": ["string", "integer"]}},
        "msg": {"type": "string"},
    },
}
_PROBLEM: Schema = {
    "type": "object",
    "description": "A failure (RFC 9457). `code` is stable; texts may change.",
    "required": ["type", "title", "status", "detail", "instance", "code", "request_id", "retryable"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string", "format": "uri-reference"},
        "code": {"type": "string"},
        "request_id": {"type": "string"},
        "retryable": {"type": "boolean"},
        "errors": {"type": "array", "items": {"$ref": _REFERENCE.format(model="Fault")}},
    },
}
_KEPT_FAILURE: Schema = {
    "type": "object",
    "description": "A failure as clients get it that do not ask for application/problem+json.",
    "required": ["detail"],
    "properties": {
        "detail": {
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"$ref": _REFERENCE.format(model="Fault")}}]
        }
    },
}


def document(functions: Iterable[Function], *, version: str) -> dict[str, Any]:
    """Every endpoint of `functions`; paths are below PATH_PREFIX, whose default is the server."""
    declared = {function.app_name: sorted(function.endpoints, key=_length) for function in functions}
    endpoints = sorted((e for group in declared.values() for e in group), key=lambda e: (e.path, e.method))
    ids = {id(e): name for group in declared.values() for e, name in zip(group, _operation_ids(group), strict=True)}
    models = _Models(endpoints)
    paths: dict[str, Schema] = {}
    for endpoint in endpoints:
        operation = {"operationId": ids[id(endpoint)], **_operation(endpoint, models)}
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    schemas = {**models.schemas, "Problem": _PROBLEM, "KeptFailure": _KEPT_FAILURE, "Fault": _FAULT}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Facet", "version": version, "description": "Photos become 3D avatars."},
        "servers": [{"url": Settings.model_fields["path_prefix"].default}],
        "paths": paths,
        "components": {"schemas": dict(sorted(schemas.items())), "securitySchemes": _SECURITY},
    }


def _length(endpoint: Endpoint) -> tuple[int, str, str]:
    return len(endpoint.path), endpoint.path, endpoint.method


def _operation_ids(endpoints: Sequence[Endpoint]) -> list[str]:
    """The function's name; its further endpoints get what is different in their paths, or a number, behind it."""
    names: list[str] = []
    for number, endpoint in enumerate(endpoints, start=1):
        literal = [part for part in endpoint.path.split("/") if part and not part.startswith("{")]
        own = [part for part in literal if part not in endpoints[0].path.split("/")]
        suffixes = ["", *(f"_{_identifier(part)}" for part in own), f"_{number}"]
        names.append(next(name for s in suffixes if (name := endpoint.function + s) not in names))
    return names


def _identifier(text: str) -> str:
    return re.sub(r"\W+", "_", text).strip("_").lower()


class _Models:
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
        self._references, definitions = models_json_schema(list(used), ref_template=_REFERENCE)
        self.schemas: dict[str, Schema] = definitions.get("$defs", {})
        # What becomes parameters is no schema of its own.
        self._parameters = {model: self.schemas.pop(self._name(model)) for model in sorted(parameters, key=str)}

    def _name(self, model: type[BaseModel]) -> str:
        return str(self._references[(model, "validation")]["$ref"]).rpartition("/")[2]

    def reference(self, model: type[BaseModel], mode: JsonSchemaMode) -> Schema:
        return self._references[(model, mode)]

    def parameters(self, model: type[BaseModel] | None, where: str) -> list[Schema]:
        if model is None:
            return []
        schema = self._parameters[model]
        required = schema.get("required", [])
        return [_parameter(name, where, name in required, field) for name, field in schema["properties"].items()]


def _parameter(name: str, where: str, required: bool, schema: Schema) -> Schema:
    bare = {key: value for key, value in schema.items() if key not in ("title", "description")}
    parameter = {"name": name, "in": where, "required": required, "schema": bare}
    return {**parameter, "description": schema["description"]} if "description" in schema else parameter


def _operation(endpoint: Endpoint, models: _Models) -> Schema:
    summary, description = _texts(endpoint)
    operation: Schema = {
        "summary": summary.rstrip("."),
        "tags": list(endpoint.tags) or [_first_literal(endpoint.path)],
        "responses": _responses(endpoint, models),
    }
    if description:
        operation["description"] = description
    parameters = [*_path_parameters(endpoint), *models.parameters(endpoint.query, "query")]
    parameters += models.parameters(endpoint.headers, "header")
    if parameters:
        operation["parameters"] = parameters
    if content := _request_content(endpoint, models):
        operation["requestBody"] = {"required": True, "content": content}
    if security := getattr(endpoint.caller, "security", None):
        operation["security"] = [dict(requirement) for requirement in security]
    return operation


def _texts(endpoint: Endpoint) -> tuple[str, str]:
    """Summary and description: as declared, else the first line of the view's docstring, and the rest of it."""
    text = inspect.getdoc(endpoint.view) or ""
    if endpoint.summary is not None:
        return endpoint.summary, text
    first, _, rest = text.partition("\n")
    return first or endpoint.function.replace("_", " ").capitalize(), rest.strip()


def _first_literal(path: str) -> str:
    return path.split("/")[1]


def _path_parameters(endpoint: Endpoint) -> list[Schema]:
    signature = inspect.signature(endpoint.view, eval_str=True).parameters
    annotations = {name: signature[name].annotation if name in signature else str for name in endpoint.path_names}
    return [
        _parameter(name, "path", True, TypeAdapter(annotation).json_schema())
        for name, annotation in annotations.items()
    ]


def _request_content(endpoint: Endpoint, models: _Models) -> Schema:
    content: Schema = {}
    if endpoint.body is not None:
        content["application/json"] = {"schema": models.reference(endpoint.body, "validation")}
    if endpoint.form is not None:
        content["multipart/form-data"] = {"schema": models.reference(endpoint.form, "validation")}
    return content


def _responses(endpoint: Endpoint, models: _Models) -> Schema:
    success: Schema = {"description": HTTPStatus(endpoint.status).phrase}
    if endpoint.returns is not None:
        schema = models.reference(endpoint.returns, "serialization")
        success["content"] = {"application/json": {"schema": schema}}
    responses: Schema = {str(endpoint.status): success}
    by_status: dict[int, list[Any]] = {}
    for error in failures(endpoint):
        by_status.setdefault(error.status, []).append(error)
    for status in sorted(by_status):
        responses[str(status)] = _failure(endpoint, by_status[status])
    return responses


def failures(endpoint: Endpoint) -> list[Any]:
    """The exceptions an endpoint may answer with, each with `status`, `code` and `title`."""
    found: list[Any] = [*endpoint.raises, *getattr(endpoint.caller, "problems", ()), Problem]
    has_content = endpoint.body is not None or endpoint.form is not None
    if has_content or endpoint.query is not None or endpoint.headers is not None:
        found.append(Invalid)
    if has_content:
        found.append(BodyTooLarge)
    if endpoint.form is not None:
        found.append(MalformedBody)
    if endpoint.body is not None and not endpoint.kept:
        found.append(UnsupportedMediaType)
    if endpoint.limits:
        found.append(limits.RateLimited)
    found += [error for layer, error in _LAYERS.items() if layer in _modules_used(endpoint)]
    return list(dict.fromkeys(found))


def _modules_used(endpoint: Endpoint) -> set[str]:
    values = vars(sys.modules[endpoint.view.__module__]).values()
    return {value.__name__ if inspect.ismodule(value) else getattr(value, "__module__", "") for value in values}


def _failure(endpoint: Endpoint, errors: Sequence[Any]) -> Schema:
    examples = {error.code: {"value": _example(error)} for error in errors}
    content: Schema = {
        "application/problem+json": {"schema": {"$ref": _REFERENCE.format(model="Problem")}, "examples": examples}
    }
    if endpoint.kept:
        content["application/json"] = {"schema": {"$ref": _REFERENCE.format(model="KeptFailure")}}
    return {"description": "; ".join(dict.fromkeys(error.title for error in errors)), "content": content}


def _example(error: Any) -> Schema:
    return details(error, detail=error.title, instance="/", request_id="5f0c2ee8-6f4b-4f0e-9d8e-2f6f0a8d3b11")
