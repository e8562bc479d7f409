"""What the agent is told by its environment: the broker, the object store, and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

REQUIRED = (
    "RABBITMQ_HOST",
    "RABBITMQ_USER",
    "RABBITMQ_PASSWORD",
    "MINIO_HOST",
    "MINIO_ACCESS_KEY",
    "MINIO_SECRET_KEY",
)


class SettingsError(Exception):
    """Names the variables that are missing or wrong, never their values."""


@dataclass(frozen=True)
class Settings:
    """endpoint: URL of the object store; ready_file: exists while the agent consumes."""

    host: str
    port: int
    vhost: str
    user: str
    password: str = field(repr=False)
    tasks_queue: str
    results_queue: str
    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str
    ready_file: Path | None = None
    heartbeat: int = 30  # seconds; the broker takes the work back after two missed ones

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Settings":
        """Raises SettingsError."""
        if missing := [name for name in REQUIRED if not environment.get(name)]:
            raise SettingsError(f"not set: {', '.join(missing)}")
        port = environment.get("RABBITMQ_PORT") or "5672"
        if not port.isdecimal():
            raise SettingsError("RABBITMQ_PORT is not a number")
        endpoint, ready_file = environment["MINIO_HOST"], environment.get("AGENT_READY_FILE")
        return cls(
            host=environment["RABBITMQ_HOST"],
            port=int(port),
            vhost=environment.get("RABBITMQ_VHOST") or "/",
            user=environment["RABBITMQ_USER"],
            password=environment["RABBITMQ_PASSWORD"],
            tasks_queue=environment.get("RABBITMQ_TASKS_QUEUE") or "generation_tasks",
            results_queue=environment.get("RABBITMQ_TASKS_RESULTS_QUEUE") or "generation_task_results",
            endpoint=endpoint if "://" in endpoint else f"http://{endpoint}",
            access_key=environment["MINIO_ACCESS_KEY"],
            secret_key=environment["MINIO_SECRET_KEY"],
            region=environment.get("MINIO_REGION") or "us-east-1",
            ready_file=Path(ready_file) if ready_file else None,
        )
