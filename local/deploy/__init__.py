"""Writes what a runtime needs to deploy the template's functions; each target is a module beside this one."""

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.template import Template, load
from local.template.intrinsics import normalised, parse
from local.template.properties import as_text
from local.template.spec import FunctionSpec, Schedule

TARGETS = ("kubernetes", "knative", "openfaas", "gcp", "azure", "aws", "chalice")
IMAGE = "facet:latest"


class CannotRender(Exception):
    """The template says something that the target cannot do; the text says what to do about it."""


@dataclass(frozen=True)
class Setting:
    """An environment variable of the functions, as the template's parameters describe it."""

    name: str
    default: str | None
    """None where the operator has to give a value."""
    secret: bool
    description: str


@dataclass(frozen=True)
class Source:
    """What a target is rendered from. No value of `.env` is in it."""

    template: Template
    settings: Sequence[Setting]
    image: str

    @property
    def secrets(self) -> list[Setting]:
        return [setting for setting in self.settings if setting.secret]

    @property
    def plain(self) -> list[Setting]:
        return [setting for setting in self.settings if not setting.secret]

    @property
    def http(self) -> list[FunctionSpec]:
        """Those that a client may call."""
        return [spec for spec in self.template.functions.values() if spec.routes or spec.url]

    @property
    def consumers(self) -> list[FunctionSpec]:
        return [spec for spec in self.template.functions.values() if spec.queues]

    @property
    def scheduled(self) -> list[tuple[FunctionSpec, Schedule]]:
        return [(spec, schedule) for spec in self.template.functions.values() for schedule in spec.schedules]


def read(template: Path, image: str = IMAGE) -> Source:
    """Raises TemplateError."""
    found = load(template)
    return Source(found, settings_of(parse(template.read_text(encoding="utf-8"))), image)


def render(target: str, source: Source) -> dict[str, str]:
    """The target's files: relative path and text. Raises CannotRender."""
    rendered: Callable[[Source], dict[str, str]] = importlib.import_module(f"local.deploy.{target}").render
    return rendered(source)


def settings_of(document: Mapping[str, Any]) -> list[Setting]:
    """The variables of all functions, in the template's order; not those that only AWS has a value for."""
    parameters = document.get("Parameters") or {}
    functions = [(document.get("Globals") or {}).get("Function") or {}]
    functions += [resource.get("Properties") or {} for resource in document["Resources"].values()]
    variables: dict[str, Any] = {}
    for function in functions:
        own = (function.get("Environment") or {}).get("Variables") or {}
        variables |= {name: value for name, value in own.items() if name not in variables}
    found = (_setting(name, value, parameters) for name, value in variables.items())
    return [setting for setting in found if setting]


def _setting(name: str, value: Any, parameters: Mapping[str, Any]) -> Setting | None:
    """PostgresHost decides POSTGRES_HOST; a variable that is made of others is AWS's."""
    if not isinstance(value, dict | list):
        return Setting(name, as_text(value), False, "")
    refs = [ref for ref in _references(value) if ref in parameters and normalised(ref) == normalised(name)]
    if not refs:
        return None
    parameter = parameters[refs[0]]
    secret = as_text(parameter.get("NoEcho", False)) == "true"
    default = None if "Default" not in parameter else as_text(parameter["Default"])
    return Setting(name, None if secret else default, secret, parameter.get("Description", ""))


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(name := value.get("Ref"), str):
            yield name
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        yield from _references(item)
