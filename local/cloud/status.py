"""What `facet status` tells of a running stack."""

import os
from typing import TYPE_CHECKING, Any

from local import manifest
from local.cloud import environment
from local.services.supervisor import Status

if TYPE_CHECKING:
    from local.cloud.up import Stack

ADDRESSES = {
    "postgres": {"host": "POSTGRES_HOST", "port": "POSTGRES_PORT", "database": "POSTGRES_DB"},
    "rabbitmq": {"host": "RABBITMQ_HOST", "port": "RABBITMQ_PORT", "vhost": "RABBITMQ_VHOST"},
    "objects": {"url": "MINIO_HOST"},
}


def described(stack: "Stack") -> dict[str, Any]:
    """Plain data. `ready` is whether everything that was asked for works just now."""
    programs = stack.supervisor.status()
    return {
        "ready": stack.ready
        and all(program.state == "running" for program in programs)
        and all(trigger.alive for trigger in stack.triggers or ()),
        "running": True,
        "pid": os.getpid(),
        "state": str(stack.state.root),
        "services": {program.name: _service(stack, program) for program in programs},
        "functions": {},
        "broken": {**stack.invoker.broken, **stack.refused} if stack.invoker and stack.gateway else {},
        "debug": stack.debug,
        **({"otlp": stack.settings["OTEL_EXPORTER_OTLP_ENDPOINT"]} if stack.tracing else {}),
        **_served(stack),
    }


def _served(stack: "Stack") -> dict[str, Any]:
    """The gateway's addresses and the functions behind it, once there is one."""
    if not stack.template or not stack.gateway:
        return {}
    live = stack.invoker.sandboxes() if stack.invoker else {}
    functions = stack.template.functions.values()
    rows = [manifest.row(spec, stack.gateway, live.get(spec.name, manifest.NO_SANDBOXES)) for spec in functions]
    return {"gateway": stack.gateway, "functions": {row["name"]: row for row in rows}, **urls(stack)}


def urls(stack: "Stack") -> dict[str, str]:
    """Where people and their programs find it: the API, its documentation, AWS's own API."""
    if not stack.template or not stack.gateway:
        return {}
    prefix = stack.settings.get("PATH_PREFIX", environment.DEFAULTS["PATH_PREFIX"])
    routes = stack.template.routes
    found = {"api": stack.gateway + (prefix if any(route.path.startswith(prefix) for route in routes) else "")}
    if any(route.path == "/docs" for route in routes):
        found["docs"] = f"{stack.gateway}/docs"
    return found | ({"edge": stack.edge} if stack.edge else {})


def _service(stack: "Stack", program: Status) -> dict[str, Any]:
    known = {"state": program.state, "pid": program.pid, "restarts": program.restarts}
    found = {key: stack.settings.get(name) for key, name in ADDRESSES.get(program.name, {}).items()}
    return known | {key: int(value) if key == "port" and value else value for key, value in found.items()}
