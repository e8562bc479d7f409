"""The reference agent as a program of the stack: the broker, the object store and keys of its own, nothing else."""

import importlib.util
import os
import sys
from collections.abc import Mapping

from local.cloud.state import State
from local.services.process import Program
from local.services.stack import SOURCE

PASSED_ON = (
    "RABBITMQ_HOST",
    "RABBITMQ_PORT",
    "RABBITMQ_VHOST",
    "RABBITMQ_TASKS_QUEUE",
    "RABBITMQ_TASKS_RESULTS_QUEUE",
    "MINIO_HOST",
    "MINIO_REGION",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
)
ITS_OWN = {
    "RABBITMQ_USER": "AGENT_RABBITMQ_USER",
    "RABBITMQ_PASSWORD": "AGENT_RABBITMQ_PASSWORD",
    "MINIO_ACCESS_KEY": "AGENT_MINIO_ACCESS_KEY",
    "MINIO_SECRET_KEY": "AGENT_MINIO_SECRET_KEY",
}


def installed() -> bool:
    """Whether the agent's own packages are there: not every platform has them."""
    return importlib.util.find_spec("ai_edge_litert") is not None


def program(state: State, settings: Mapping[str, str]) -> Program:
    """What to run; it counts as ready while it consumes."""
    ready_file = state.run / "agent-ready"

    async def ready() -> bool:
        return ready_file.exists()

    variables = {name: settings[name] for name in PASSED_ON if name in settings}
    variables |= {name: settings[own] for name, own in ITS_OWN.items()}
    variables |= {"AGENT_READY_FILE": str(ready_file), "PATH": os.environ.get("PATH", os.defpath)}
    return Program(
        name="agent",
        command=(sys.executable, "-m", "local.agent"),
        env=variables,
        cwd=SOURCE,
        log=state.log("agent"),
        ready=ready,
        stop_timeout=5.0,
    )
