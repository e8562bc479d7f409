"""What a frontend or a script needs to know of each function: its URLs, routes, triggers and limits."""

from collections.abc import Mapping
from typing import Any

from local.template.spec import FunctionSpec

NO_SANDBOXES = {"idle": 0, "sandboxes": 0, "waiting": 0}


def row(spec: FunctionSpec, gateway: str | None = None, sandboxes: Mapping[str, int] | None = None) -> dict[str, Any]:
    """One function as plain data. `gateway` is the running gateway's address; without it there are no URLs."""
    port = (gateway or "").rpartition(":")[2]
    return {
        "name": spec.name,
        "url": f"{gateway}/fn/{spec.name}/" if gateway and spec.url else None,
        "host_url": f"http://{spec.host}.localhost{':' + port if port.isdigit() else ''}/"
        if gateway and spec.url
        else None,
        "routes": [
            {"method": route.method, "path": route.path, "url": f"{gateway}{route.path}" if gateway else None}
            for route in spec.routes
        ],
        "queues": [mapping.queue for mapping in spec.queues],
        "schedules": [schedule.expression for schedule in spec.schedules],
        "trigger": _trigger(spec),
        "timeout": spec.timeout,
        "memory": spec.memory,
        "reserved_concurrency": spec.reserved_concurrency,
        "sandboxes": None if sandboxes is None else dict(sandboxes),
    }


def _trigger(spec: FunctionSpec) -> str:
    sources = [f"queue {mapping.queue}" for mapping in spec.queues]
    sources += [f"schedule {schedule.expression}" for schedule in spec.schedules]
    sources += ["function URL"] if spec.url else []
    sources += [f"{len(spec.routes)} route{'s' * (len(spec.routes) > 1)}"] if spec.routes else []
    return ", ".join(sources) or "invoked by an operator"
