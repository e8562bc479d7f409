"""Google Cloud Run functions: entry points, settings, and what infra/gcp/deploy.sh has to know of each function."""

from local.deploy import Source
from local.deploy.crontab import crontab
from local.deploy.documents import as_dict, text
from local.deploy.limits import THREADS, at_once, most, seconds
from local.template.spec import FunctionSpec

LEAST_MEMORY = 512
"""MiB; what Cloud Run wants for a whole processor, without which an instance takes one request at a time."""
FRONT_END = "169.254.0.0/16"
"""From where requests reach an instance: what it says in X-Forwarded-For of the client is Google's own word."""

ABOUT = (
    "The settings of all functions. To be filled in: {needed}. May be added: {optional}. From Secret Manager come "
    "{secrets}."
)

MAIN = '''"""The entry points of Google Cloud Run functions: `api`, which answers for all of them, and one for each.

Rendered from template.yaml. An entry point is made when it is asked for: a function imports no other.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import functions_framework

from facet import loading
from facet.adapters import gcf
from facet.api import Api
from facet.cors import CrossOrigin
from facet.http import Answers
from facet.settings import settings

HTTP = {http}
EVENTS = {events}


@cache
def __getattr__(name: str) -> Callable[..., Any]:
    if name == "api":
        return _http(Api(map(loading.load, HTTP)), name, max(HTTP.values()))
    if name in HTTP:
        return _http(loading.load(name), name, HTTP[name])
    if name in EVENTS:
        return functions_framework.cloud_event(gcf.cloud_event(loading.load(name), timeout=EVENTS[name]))
    raise AttributeError(name)


def _http(answers: Answers, name: str, timeout: int) -> Callable[..., Any]:
    allowed = CrossOrigin(answers, settings().cors_origins)
    return functions_framework.http(gcf.http(allowed, name=name, timeout=timeout))
'''


def render(source: Source) -> dict[str, str]:
    http, events = source.http, _events(source)
    return {
        "main.py": MAIN.format(http=_timeouts(http), events=_timeouts(events)),
        "settings.yaml": _settings(source),
        "secrets.txt": "".join(f"{setting.name}\n" for setting in source.secrets),
        "functions.txt": _table(source, http, events),
    }


def _events(source: Source) -> list[FunctionSpec]:
    called = {spec.name: spec for spec in source.consumers} | {spec.name: spec for spec, _ in source.scheduled}
    return list(called.values())


def _timeouts(specs: list[FunctionSpec]) -> str:
    """Seconds by name."""
    return as_dict({spec.name: seconds(spec) for spec in specs})


def _settings(source: Source) -> str:
    """What is empty is to be filled in: what may be left empty is left out."""
    values = {setting.name: setting.default for setting in source.plain}
    if "TRUSTED_PROXIES" in values:
        values["TRUSTED_PROXIES"] = FRONT_END
    needed = ", ".join(name for name, value in values.items() if value is None)
    optional = ", ".join(name for name, value in values.items() if value == "")
    secrets = ", ".join(setting.name for setting in source.secrets)
    about = ABOUT.format(needed=needed, optional=optional, secrets=secrets)
    return text(about, {name: value or "" for name, value in values.items() if value != ""})


def _table(source: Source, http: list[FunctionSpec], events: list[FunctionSpec]) -> str:
    """A line for each entry point; the crontab, which has spaces, comes last."""
    due = {spec.name: crontab(schedule) for spec, schedule in source.scheduled}
    lines = [f"api {most(max(map(_memory, http)))}Mi {seconds(*http)} {THREADS} - anybody -"]
    for spec in http:
        lines.append(f"{_limits(spec)} {at_once(spec)} {spec.reserved_concurrency or '-'} anybody -")
    for spec in events:
        caller = "schedule" if spec.name in due else "events"
        lines.append(f"{_limits(spec)} 1 {spec.reserved_concurrency or '-'} {caller} {due.get(spec.name, '-')}")
    return "\n".join(["# entry point, memory, seconds, requests at once, instances, caller, crontab", *lines, ""])


def _limits(spec: FunctionSpec) -> str:
    return f"{spec.name} {_memory(spec)}Mi {seconds(spec)}"


def _memory(spec: FunctionSpec) -> int:
    return max(spec.memory, LEAST_MEMORY)
