"""RabbitMQ's part of a backup: queues, exchanges, bindings and policies. Messages are made anew out of the database."""

import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import httpx

from infra.compose.folder import BackupFailed

FILE = "broker.json"


def save(at: Mapping[str, str], folder: Path) -> int:
    """The definitions of the virtual host; how many queues it has. Raises BackupFailed."""
    found = _asked(at, "GET").json()
    (folder / FILE).write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    return len(found["queues"])


def restore(at: Mapping[str, str], folder: Path) -> None:
    """Declare what is missing; what is there stays. Raises BackupFailed."""
    _asked(at, "POST", (folder / FILE).read_bytes())


def _asked(at: Mapping[str, str], method: str, body: bytes | None = None) -> httpx.Response:
    account = at["RABBITMQ_USER"], at["RABBITMQ_PASSWORD"]
    url = f"{at['RABBITMQ_MANAGEMENT_URL']}/api/definitions/{quote(at['RABBITMQ_VHOST'], safe='')}"
    try:
        with httpx.Client(auth=account, trust_env=False, timeout=30) as client:
            answer = client.request(method, url, content=body, headers={"content-type": "application/json"})
            return answer.raise_for_status()
    except httpx.HTTPError as error:
        raise BackupFailed(
            f"RabbitMQ's management does not do it: {error}. Next: docker compose ps rabbitmq"
        ) from error
