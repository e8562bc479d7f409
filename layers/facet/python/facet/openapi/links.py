"""What an answer gives that the next request needs: OpenAPI links, found by names."""

import re
from collections.abc import Mapping, Sequence

from facet.endpoint import Endpoint
from facet.openapi.schemas import Models, Schema

_NAMES_A_THING = re.compile(r".+_(id|uuid|token)$")


def links(source: Endpoint, endpoints: Sequence[Endpoint], ids: Mapping[int, str], models: Models) -> Schema:
    """Links of a success to the operations of the same audience that take what it gives."""
    given = models.properties(source.returns, "serialization")
    found: Schema = {}
    for target in endpoints:
        taken = {**_in_path(source, target, given), **_in_headers(target, given, models)}
        body = _in_body(target, given, models)
        if (taken or body) and _is_for_integrations(source) is _is_for_integrations(target):
            link: Schema = {"operationId": ids[id(target)], "parameters": taken, "requestBody": body}
            found[ids[id(target)]] = {key: value for key, value in link.items() if value}
    return found


def _in_path(source: Endpoint, target: Endpoint, given: Schema) -> Schema:
    """POST /tasks and POST /tasks/{uuid}/retry both make what is then at /tasks/{uuid}: `uuid` or `…_uuid`."""
    collection, brace, rest = target.path.partition("/{")
    if not brace or source.status != 201 or not f"{source.path}/".startswith(f"{collection}/"):
        return {}
    parameter = rest.partition("}")[0]
    names = [name for name in given if name == parameter or name.endswith(f"_{parameter}")]
    return {f"path.{parameter}": _expression(names[0])} if names else {}


def _in_headers(target: Endpoint, given: Schema, models: Models) -> Schema:
    wanted = {parameter["name"] for parameter in models.parameters(target.headers, "header") if parameter["required"]}
    names = [name for name in given if _NAMES_A_THING.match(name) and name.replace("_", "-") in wanted]
    return {f"header.{name.replace('_', '-')}": _expression(name) for name in names}


def _in_body(target: Endpoint, given: Schema, models: Models) -> Schema:
    fields = models.properties(target.body, "validation")
    return {name: _expression(name) for name in given if _NAMES_A_THING.match(name) and name in fields}


def _is_for_integrations(endpoint: Endpoint) -> bool:
    return endpoint.path.startswith("/integrations/")


def _expression(name: str) -> str:
    return f"$response.body#/{name}"
