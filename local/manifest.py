"""What a frontend or a script needs to know of each function: its URLs, routes, triggers and limits."""

from typing import Any

from local import template
from local.cloud import environment
from local.cloud.project import Project
from local.template.spec import FunctionSpec


def rows(project: Project, gateway: str | None) -> list[dict[str, Any]]:
    """One row per function of the project's template; `gateway` is the running gateway's address, if any.

    Raises TemplateError and EnvironmentUnreadable.
    """
    found = template.load(project.template, environment.effective(project.root))
    return [row(spec, gateway) for spec in found.functions.values()]


def row(spec: FunctionSpec, gateway: str | None) -> dict[str, Any]:
    """One function as plain data."""
    return {
        "name": spec.name,
        "url": f"{gateway}/fn/{spec.name}/" if gateway and spec.url else None,
        "routes": [
            {"method": route.method, "path": route.path, "url": f"{gateway}{route.path}" if gateway else None}
            for route in spec.routes
        ],
        "trigger": _trigger(spec),
        "timeout": spec.timeout,
        "memory": spec.memory,
    }


def _trigger(spec: FunctionSpec) -> str:
    sources = [f"queue {mapping.queue}" for mapping in spec.queues]
    sources += [f"schedule {schedule.expression}" for schedule in spec.schedules]
    sources += ["function URL"] if spec.url else []
    return ", ".join(sources) or "invoked by an operator"
