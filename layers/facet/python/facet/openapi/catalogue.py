"""Every code that a failure may have, with what it means and where it occurs."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from facet.function import Function
from facet.openapi.failures import failures
from facet.openapi.names import operation_ids
from facet.problems import MethodNotAllowed, NotFound, details

Entry = dict[str, Any]

_EVERYWHERE = (NotFound, MethodNotAllowed)  # paths and methods that no operation describes


def catalogue(functions: Iterable[Function]) -> list[Entry]:
    """Each code once, by code. Raises ValueError where one code has two statuses."""
    endpoints = [endpoint for function in functions for endpoint in function.endpoints]
    ids = operation_ids(endpoints)
    occurs: dict[Any, list[str]] = {error: [] for error in _EVERYWHERE}
    for endpoint in endpoints:
        for error in failures(endpoint):
            occurs.setdefault(error, []).append(ids[id(endpoint)])
    by_code: dict[str, list[Any]] = {}
    for error in sorted(occurs, key=lambda error: (not error.__module__.startswith("facet."), _name(error))):
        by_code.setdefault(error.code, []).append(error)
    return [_entry(by_code[code], occurs) for code in sorted(by_code)]


def _entry(errors: Sequence[Any], occurs: Mapping[Any, Sequence[str]]) -> Entry:
    """The plumbing's title stands first; explanations that differ are all told."""
    told = [details(error, detail="", instance="", request_id="") for error in errors]
    if len({each["status"] for each in told}) > 1:
        raise ValueError(f"{told[0]['code']} has several statuses: {', '.join(map(_name, errors))}")
    explanations = dict.fromkeys(explanation(error) for error in errors)
    return {
        "code": told[0]["code"],
        "type": told[0]["type"],
        "title": told[0]["title"],
        "status": told[0]["status"],
        "retryable": any(each["retryable"] for each in told),
        "description": " ".join(filter(None, explanations)),
        "operations": sorted({operation for error in errors for operation in occurs[error]}),
    }


def explanation(error: Any) -> str:
    """The first paragraph of the class's own docstring, in one line; empty where it has none."""
    paragraph, _, _ = inspect.cleandoc(error.__dict__.get("__doc__") or "").partition("\n\n")
    return " ".join(paragraph.split())


def _name(error: Any) -> str:
    return f"{error.__module__}.{error.__qualname__}"
