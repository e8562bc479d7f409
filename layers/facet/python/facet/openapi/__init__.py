"""The OpenAPI 3.1 document of a set of functions, from what their endpoints declare."""

import inspect
from collections.abc import Iterable, Sequence
from typing import Any

from facet.endpoint import Endpoint
from facet.function import Function
from facet.openapi import headers
from facet.openapi.answers import Failures, responses
from facet.openapi.catalogue import catalogue as catalogue
from facet.openapi.failures import failures as failures
from facet.openapi.links import links
from facet.openapi.names import operation_ids
from facet.openapi.schemas import FAILURES, Models, Schema
from facet.settings import Settings

_SECURITY = {
    "accessToken": {
        "type": "apiKey",
        "in": "header",
        "name": "access-token",
        "description": "The `access_token` of a sign-in. It wins over `Authorization`.",
    },
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "The same token."},
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "Of an outside system. A deployment may let callers without one in (INTEGRATIONS_AUTH).",
    },
}
_DESCRIPTION = """\
Photos become 3D avatars.

Failures have a stable `code`; `GET /problems` lists all of them. Operations that the first clients of this service know
answer failures as `{"detail": ...}` unless the request accepts `application/problem+json`. What stands before the
functions (a gateway, a proxy) may refuse a request by itself, with 413, 421, 429, 431, 502 or 503.

Times are RFC 3339 in UTC. Links to files are presigned and expire."""


def document(functions: Iterable[Function], *, version: str) -> dict[str, Any]:
    """Every endpoint of `functions`; paths are below PATH_PREFIX, whose default is the server."""
    declared = [endpoint for function in functions for endpoint in function.endpoints]
    endpoints = sorted(declared, key=lambda endpoint: (endpoint.path, endpoint.method))
    ids, models, shared = operation_ids(endpoints), Models(endpoints), Failures()
    paths: dict[str, Schema] = {}
    for endpoint in endpoints:
        operation = {"operationId": ids[id(endpoint)], **_operation(endpoint, models, shared)}
        if found := links(endpoint, endpoints, ids, models):
            operation["responses"][str(endpoint.status)]["links"] = found
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Facet",
            "version": version,
            "description": _DESCRIPTION,
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": Settings.model_fields["path_prefix"].default}],
        "tags": [{"name": tag} for tag in sorted({tag for endpoint in endpoints for tag in _tags(endpoint)})],
        "paths": paths,
        "components": {
            "schemas": dict(sorted({**models.schemas, **FAILURES}.items())),
            "responses": dict(sorted(shared.components.items())),
            "headers": headers.HEADERS,
            "securitySchemes": _SECURITY,
        },
    }


def _operation(endpoint: Endpoint, models: Models, shared: Failures) -> Schema:
    summary, description = _texts(endpoint)
    operation: Schema = {"summary": summary.rstrip("."), "tags": list(_tags(endpoint))}
    if description:
        operation["description"] = description
    parameters = [*models.path_parameters(endpoint), *models.parameters(endpoint.query, "query")]
    parameters += models.parameters(endpoint.headers, "header")
    if parameters:
        operation["parameters"] = parameters
    if content := _request_content(endpoint, models):
        operation["requestBody"] = {"required": True, "content": content}
    operation["responses"] = responses(endpoint, models, shared)
    operation["security"] = [dict(requirement) for requirement in getattr(endpoint.caller, "security", ())]
    return operation


def _texts(endpoint: Endpoint) -> tuple[str, str]:
    """Summary and description: as declared, else the first line of the view's docstring, and the rest of it."""
    text = inspect.getdoc(endpoint.view) or ""
    if endpoint.summary is not None:
        return endpoint.summary, text
    first, _, rest = text.partition("\n")
    return first or endpoint.function.replace("_", " ").capitalize(), rest.strip()


def _tags(endpoint: Endpoint) -> Sequence[str]:
    return endpoint.tags or [endpoint.path.split("/")[1]]


def _request_content(endpoint: Endpoint, models: Models) -> Schema:
    content: Schema = {}
    if endpoint.body is not None:
        content["application/json"] = models.content(endpoint.body, "validation")
    if endpoint.form is not None:
        content["multipart/form-data"] = models.form(endpoint.form)
    return content
