"""Many clients that wait for one task at once, each on a connection of its own."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing.sharedctypes import Synchronized

import httpx

from tests.compat.frontend import PASSWORD
from tests.stacks import PROJECT, Stack

CLIENTS = 500
TASKS = "/3d-model-generation/tasks"
PHOTO = (PROJECT / "tests/data/grace_hopper.jpg").read_bytes()


def stuck(stack: Stack, http: httpx.Client) -> str:
    """A task that stays open until it is cancelled. Its owner is who `http` speaks for from now on."""
    email = f"{secrets.token_hex(8)}@example.com"
    http.post("/users/registration", json={"name": "W", "email": email, "password": PASSWORD}).raise_for_status()
    stack.facet("user", "test-mode", email, "on")
    signed_in = http.post("/users/authorization", json={"email": email, "password": PASSWORD}).raise_for_status()
    http.headers["access-token"] = signed_in.json()["access_token"]
    made = http.post(TASKS, files={"task_source_file": PHOTO}, data={"metadata": '{"sandbox": "stuck"}'})
    return str(made.raise_for_status().json()["request_uuid"])


class Crowd:
    """Clients that each ask once, to be answered when the task changes; `answers` fills in the order they come."""

    def __init__(self, http: httpx.AsyncClient, path: str) -> None:
        self.answers: list[httpx.Response] = []
        self._http, self._path = http, path
        self._clients = [asyncio.create_task(self._ask()) for _ in range(CLIENTS)]

    async def _ask(self) -> None:
        self.answers.append(await self._http.get(self._path, headers={"prefer": "wait=20"}))

    @property
    def not_held(self) -> list[httpx.Response]:
        """Answers without a wait: every place to wait in was taken."""
        return [answer for answer in self.answers if "preference-applied" not in answer.headers]

    @property
    def held(self) -> list[httpx.Response]:
        return [answer for answer in self.answers if "preference-applied" in answer.headers]

    async def answered(self) -> None:
        """Return when everybody has an answer; an error of anybody is raised."""
        await asyncio.gather(*self._clients)


@asynccontextmanager
async def crowd(api: str, path: str, token: str) -> AsyncIterator[Crowd]:
    async with _client(api, token) as http:
        crowd = Crowd(http, path)
        yield crowd
        await crowd.answered()


async def stay(api: str, path: str, token: str, answers: "Synchronized[int]") -> None:
    """Clients as they should be: each asks again for ever, with what it knows, as soon as the answer before allows.

    `answers` counts what they get.
    """

    async def one(http: httpx.AsyncClient) -> None:
        headers = {"prefer": "wait=20"}
        while True:
            answer = await http.get(path, headers=headers)
            assert answer.status_code in (200, 304), answer.text
            answers.value += 1
            headers["if-none-match"] = answer.headers["etag"]
            if "preference-applied" not in answer.headers:
                await asyncio.sleep(int(answer.headers["retry-after"]))

    async with _client(api, token) as http:
        await asyncio.gather(*(one(http) for _ in range(CLIENTS)))


def _client(api: str, token: str) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=CLIENTS)
    return httpx.AsyncClient(base_url=api, headers={"access-token": token}, limits=limits, timeout=90, trust_env=False)
