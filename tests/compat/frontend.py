"""The old web client and an old outside system: their requests, byte for byte, and nothing else."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx

from tests.stacks import until

PASSWORD = "correct horse battery staple"
ORIGIN = "http://localhost:5173"


@dataclass(frozen=True)
class Account:
    """A person who registered and signed in."""

    user_id: int
    name: str
    email: str
    access_token: str
    refresh_token: str


class Client:
    """What both clients share: a connection pool to one API."""

    def __init__(self, api: str) -> None:
        self.http = httpx.Client(base_url=api, timeout=30, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()


class Frontend(Client):
    """The web client: it knows users, tokens, tasks and the history page."""

    def register(self, name: str, email: str, password: str) -> httpx.Response:
        return self.http.post("/users/registration", json={"name": name, "email": email, "password": password})

    def authorize(self, email: str, password: str) -> httpx.Response:
        return self.http.post("/users/authorization", json={"email": email, "password": password})

    def refresh(self, token: str) -> httpx.Response:
        return self.http.get("/users/refresh-token", headers={"refresh-token": token})

    def create(
        self, token: str, photo: bytes, *, file_name: str = "me.jpg", content_type: str = "image/jpeg"
    ) -> httpx.Response:
        return self.http.post(
            "/3d-model-generation/tasks",
            headers={"access-token": token},
            files={"task_source_file": (file_name, photo, content_type)},
        )

    def status(self, token: str, request_uuid: str) -> httpx.Response:
        return self.read(token, f"/3d-model-generation/tasks/{request_uuid}/status")

    def result(self, token: str, request_uuid: str) -> httpx.Response:
        return self.read(token, f"/3d-model-generation/tasks/{request_uuid}/result")

    def history(self, token: str) -> httpx.Response:
        return self.read(token, "/user-info/generation-history")

    def profile(self, token: str) -> httpx.Response:
        return self.read(token, "/user-info/profile-info")

    def read(self, token: str, path: str) -> httpx.Response:
        return self.http.get(path, headers={"access-token": token})

    def sign_up(self) -> Account:
        """A new person with tokens of their own."""
        name, email = "Ada Lovelace", f"{secrets.token_hex(6)}@example.org"
        registered = self.register(name, email, PASSWORD)
        assert registered.status_code == 201, registered.text
        tokens = self.authorize(email, PASSWORD)
        assert tokens.status_code == 200, tokens.text
        return Account(user_id=registered.json()["user_id"], name=name, email=email, **tokens.json())

    def create_task(self, token: str, photo: bytes) -> str:
        """The request uuid of a task that was accepted."""
        created = self.create(token, photo)
        assert created.status_code == 201, created.text
        return str(created.json()["request_uuid"])

    def wait_for(self, token: str, request_uuid: str, status: str, *, within: float = 60) -> None:
        """Polls as the old page did, until the task has the status."""

        def reached() -> bool:
            answer = self.status(token, request_uuid)
            assert answer.status_code == 200, answer.text
            return bool(answer.json() == {"status": status})

        until(reached, within=within, what=f"task {request_uuid} is {status}")


class OutsideSystem(Client):
    """An integration: the same three task routes; `headers` carry its key where one is asked for."""

    def __init__(self, api: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(api)
        self.http.headers.update(headers or {})

    def create(self, photo: bytes, *, content_type: str = "image/jpeg") -> httpx.Response:
        return self.http.post(
            "/integrations/3d-model-generation/tasks",
            files={"task_source_file": ("visitor.jpg", photo, content_type)},
        )

    def status(self, request_uuid: str) -> httpx.Response:
        return self.http.get(f"/integrations/3d-model-generation/tasks/{request_uuid}/status")

    def result(self, request_uuid: str) -> httpx.Response:
        return self.http.get(f"/integrations/3d-model-generation/tasks/{request_uuid}/result")
