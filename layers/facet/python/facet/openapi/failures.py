"""Which failures an endpoint may answer with: those it declares and those its parts imply."""

import inspect
import sys
from collections.abc import Mapping
from typing import Any

from facet import broker, db, limits, objects
from facet.endpoint import Endpoint
from facet.problems import BodyTooLarge, Invalid, MalformedBody, NotFound, Problem, UnsupportedMediaType

_LAYERS: Mapping[str, type[Problem]] = {
    "facet.db": db.Unavailable,
    "facet.objects": objects.Unavailable,
    "facet.broker": broker.Unavailable,
}


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
    if endpoint.path_names:
        found.append(NotFound)  # a parameter that is no text, such as %FF
    if endpoint.limits:
        found += [limits.RateLimited, db.Unavailable]
    found += [error for layer, error in _LAYERS.items() if layer in _modules_used(endpoint)]
    return list(dict.fromkeys(found))


def _modules_used(endpoint: Endpoint) -> set[str]:
    values = vars(sys.modules[endpoint.view.__module__]).values()
    return {value.__name__ if inspect.ismodule(value) else getattr(value, "__module__", "") for value in values}
