"""The responses of an operation: successes, 304 and every failure, with headers and examples."""

from collections.abc import Sequence
from http import HTTPStatus
from itertools import count
from typing import Any

from facet.endpoint import Endpoint
from facet.openapi import headers
from facet.openapi.examples import example_of
from facet.openapi.failures import failures
from facet.openapi.schemas import FAILURES, REFERENCE, Models, Schema
from facet.problems import Invalid, details

_FAULT_EXAMPLE = example_of(FAILURES["Fault"], {})
_TEXT: Schema = {"schema": {"type": "string"}}


class Failures:
    """The responses of failures, each said once: operations refer to them."""

    def __init__(self) -> None:
        self.components: Schema = {}

    def reference(self, endpoint: Endpoint, errors: Sequence[Any]) -> Schema:
        """Named after its codes; equal names are told apart by a number."""
        response = _failure(endpoint, errors)
        stem = "_or_".join(sorted({error.code for error in errors})) + ("_kept" if endpoint.kept else "")
        names = (stem if number == 1 else f"{stem}_{number}" for number in count(1))
        name = next(name for name in names if self.components.get(name, response) == response)
        self.components[name] = response
        return {"$ref": f"#/components/responses/{name}"}


def responses(endpoint: Endpoint, models: Models, shared: Failures) -> Schema:
    """By status: the success, 304 where there is an ETag, and every failure."""
    found: Schema = {str(endpoint.status): _success(endpoint, models)}
    if headers.answers_not_modified(endpoint):
        found["304"] = {
            "description": "What you have is current: it has the ETag you sent",
            "headers": headers.of_success(endpoint, HTTPStatus.NOT_MODIFIED),
        }
    by_status: dict[int, list[Any]] = {}
    for error in failures(endpoint):
        by_status.setdefault(error.status, []).append(error)
    for status in sorted(by_status):
        found[str(status)] = shared.reference(endpoint, by_status[status])
    return found


def _success(endpoint: Endpoint, models: Models) -> Schema:
    success: Schema = {
        "description": HTTPStatus(endpoint.status).phrase,
        "headers": headers.of_success(endpoint, endpoint.status),
    }
    content: Schema = {}
    if endpoint.returns is not None:
        content["application/json"] = models.content(endpoint.returns, "serialization")
    content |= {media_type: _raw(media_type) for media_type in endpoint.produces}
    return {**success, "content": content} if content else success


def _raw(media_type: str) -> Schema:
    if media_type.startswith("text/"):
        return _TEXT
    return {"schema": {"type": "object"}} if media_type == "application/json" else {"schema": {}}


def _failure(endpoint: Endpoint, errors: Sequence[Any]) -> Schema:
    """The codes are part of the schema: another one at this place is a fault of the document."""
    codes = sorted({error.code for error in errors})
    narrowed = {"properties": {"code": {"enum": codes}, "status": {"const": errors[0].status}}}
    content: Schema = {
        "application/problem+json": {
            "schema": {"allOf": [{"$ref": REFERENCE.format(model="Problem")}, narrowed]},
            "examples": {error.code: {"value": _example(error)} for error in errors},
        }
    }
    if endpoint.kept:
        content["application/json"] = {
            "schema": {"$ref": REFERENCE.format(model="KeptFailure")},
            "examples": {error.code: {"value": {"detail": _kept_detail(error)}} for error in errors},
        }
    return {
        "description": "; ".join(dict.fromkeys(error.title for error in errors)),
        "headers": headers.of_failures(errors),
        "content": content,
    }


def _example(error: Any) -> Schema:
    told = details(error, detail=error.title, instance="/", request_id="5f0c2ee8-6f4b-4f0e-9d8e-2f6f0a8d3b11")
    return {**told, "errors": [_FAULT_EXAMPLE]} if _has_faults(error) else told


def _kept_detail(error: Any) -> Any:
    return [_FAULT_EXAMPLE] if _has_faults(error) else error.title


def _has_faults(error: Any) -> bool:
    return error is Invalid
