"""The five-minute tour in one command: a new user, a photo, a progress bar, an avatar."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

POLL_SECONDS = 0.2
LARGEST_PHOTO = 10 * 1024 * 1024  # bytes
FINAL = {"SUCCESS", "FAILED", "INVALID_INPUT", "CANCELLED"}


class DemoFailed(Exception):
    """The tour ended early; the text says where and what to do next."""


@dataclass(frozen=True)
class Avatar:
    """What the tour ends with."""

    saved_to: Path
    size: int
    url: str
    photo_url: str
    skin_color: str | None
    seconds: float


def run(api: str, photo: Path, save_to: Path, *, timeout: float, progress: Callable[[str, float], None]) -> Avatar:
    """Registers a user at `api`, uploads `photo`, waits for the avatar and saves it.

    `progress` gets a stage's name and a share of 0 to 1. Raises DemoFailed.
    """
    begun = time.monotonic()
    if photo.stat().st_size > LARGEST_PHOTO:
        raise DemoFailed(f"{photo} has {photo.stat().st_size:,} bytes; a photo has at most {LARGEST_PHOTO:,}.")
    try:
        return _tour(api, photo, save_to, begun=begun, deadline=begun + timeout, progress=progress)
    except httpx.HTTPError as exc:
        raise DemoFailed(f"Facet stopped answering ({exc!r}). `facet status` tells what runs.") from exc
    except OSError as exc:
        raise DemoFailed(f"{exc.filename or save_to}: {exc.strerror}") from exc


def _tour(
    api: str, photo: Path, save_to: Path, *, begun: float, deadline: float, progress: Callable[[str, float], None]
) -> Avatar:
    with httpx.Client(base_url=api, timeout=30) as http:
        headers = {"access-token": _sign_in(http)}
        progress("uploading", 0.05)
        task = _json(
            http.post("/3d-model-generation/tasks", headers=headers, files={"task_source_file": photo.read_bytes()})
        )
        path = f"/3d-model-generation/tasks/{task['request_uuid']}"
        _wait(http, path, headers, deadline=deadline, progress=progress)
        result = _json(http.get(f"{path}/result", headers=headers))
        model = httpx.get(result["result_file_path"], timeout=60)
        if model.is_error:
            raise DemoFailed(f"The avatar's link answered {model.status_code}. See `facet logs` and `facet doctor`.")
    save_to.write_bytes(model.content)
    progress("saved", 1.0)
    return Avatar(
        saved_to=save_to,
        size=len(model.content),
        url=result["result_file_path"],
        photo_url=task["source_file_path"],
        skin_color=(result["mesh_metadata"] or {}).get("skin_color_hex"),
        seconds=time.monotonic() - begun,
    )


def _sign_in(http: httpx.Client) -> str:
    email, password = f"demo-{secrets.token_hex(6)}@example.com", secrets.token_urlsafe(16)
    _json(http.post("/users/registration", json={"name": "Demo", "email": email, "password": password}))
    token: str = _json(http.post("/users/authorization", json={"email": email, "password": password}))["access_token"]
    return token


def _wait(
    http: httpx.Client,
    path: str,
    headers: dict[str, str],
    *,
    deadline: float,
    progress: Callable[[str, float], None],
) -> None:
    """Returns when the task is a SUCCESS."""
    shares = {"INITIAL": 0.1, "PENDING": 0.2, "IN_PROGRESS": 0.5}
    while time.monotonic() < deadline:
        status = _json(http.get(f"{path}/status", headers=headers))["status"]
        if status == "SUCCESS":
            return
        if status in FINAL:
            hint = (
                "there is no face in the photo, try another one"
                if status == "INVALID_INPUT"
                else "see `facet logs agent`"
            )
            raise DemoFailed(f"The task ended as {status}: {hint}.")
        progress(status, shares[status])
        time.sleep(POLL_SECONDS)
    raise DemoFailed(
        "No avatar in time. Is an agent running? `facet status` tells; `facet logs consume_results` shows more."
    )


def _json(response: httpx.Response) -> Any:
    if response.is_error:
        try:
            detail = response.json()["detail"]
        except (ValueError, KeyError, TypeError):
            detail = response.text[:200]
        raise DemoFailed(
            f"{response.request.method} {response.request.url.path} answered {response.status_code}: {detail}"
        )
    return response.json()
