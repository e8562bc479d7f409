"""Every operation that names a thing by its id refuses another's exactly as it refuses one that does not exist.

The operations are those the functions declare. One with an id that no recipe knows fails: write the recipe.
"""

import hashlib
import importlib
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import psycopg
import pytest
from pydantic import BaseModel

from facet.endpoint import Endpoint
from facet.settings import settings
from tests.functions import api

Sql = psycopg.Connection[tuple[Any, ...]]
FUNCTIONS = Path(__file__).parents[2] / "functions"
TABLES = ("users", "api_keys", "tasks", "outbox", "media_objects", "uploads", "object_deletions", "erased_tasks")


@dataclass
class Party:
    """Somebody who owns things. `words` are what nobody else may ever read."""

    headers: dict[str, str]
    by_key: bool
    ids: dict[str, str] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)


# Whose things are foreign to whom. What a user's keys made is the user's too, and so in no pair.
FOREIGN = {
    "eve": ("ada", "key of ada", "kiosk"),
    "ada": ("kiosk", "eve"),
    "key of eve": ("ada", "key of ada", "kiosk"),
    "key of ada": ("ada", "eve", "kiosk"),
    "booth": ("ada", "key of ada", "kiosk"),
    "nobody": ("ada", "key of ada", "kiosk"),
}

# What each parameter of a path, and each id of a body, names. A file's name names nothing by itself.
IN_PATHS: dict[str, Callable[[Party], str]] = {
    "/3d-model-generation/tasks/{uuid}": lambda owner: owner.ids["task"],
    "/3d-model-generation/tasks/{uuid}/files/{name}": lambda owner: "photo.jpg",
    "/api-keys/{id}": lambda owner: owner.ids["key"],
}
IN_BODIES: dict[tuple[str, str], Callable[[Party], str]] = {
    ("/3d-model-generation/tasks", "upload_id"): lambda owner: owner.ids["upload"],
}


@dataclass(frozen=True)
class Operation:
    """An endpoint and the ids that it takes."""

    function: str
    endpoint: Endpoint
    ids_in_body: tuple[str, ...]

    @property
    def by_key(self) -> bool:
        return self.endpoint.path.startswith("/integrations/")

    @property
    def plain_path(self) -> str:
        return self.endpoint.path.removeprefix("/integrations")

    def send(self, headers: dict[str, str], owner: Party) -> api.Answer:
        body = {name: IN_BODIES[self.plain_path, name](owner) for name in self.ids_in_body}
        path = self.endpoint.path
        for name in self.endpoint.path_names:
            known = self.plain_path[: self.plain_path.index(f"{{{name}}}")] + f"{{{name}}}"
            path = path.replace(f"{{{name}}}", IN_PATHS[known](owner))
        content = {"json": body} if body else {}
        return api.request(self.function, self.endpoint.method, path, headers=headers, **content)


def operations() -> Iterator[Operation]:
    for path in sorted(FUNCTIONS.glob("*/handler.py")):
        app = importlib.import_module(f"functions.{path.parent.name}.handler").app
        for endpoint in app.endpoints:
            models = [model for model in (endpoint.body, endpoint.form, endpoint.query) if model is not None]
            in_body = tuple(name for model in models for name in ids_of(model))
            if endpoint.caller is not None and (endpoint.path_names or in_body):
                yield Operation(path.parent.name, endpoint, in_body)


def ids_of(model: type[BaseModel]) -> Iterator[str]:
    """The fields of a model, however deep, that name something by an id."""
    for name, found in model.model_fields.items():
        if re.search(r"(^|_)(id|ids|uuid|uuids|key)$", found.alias or name) or mentions(found.annotation, uuid.UUID):
            yield found.alias or name
        for inner in parts(found.annotation):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from ids_of(inner)


def parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from parts(part)


def mentions(annotation: Any, wanted: type) -> bool:
    return any(part is wanted for part in parts(annotation))


ALL = list(operations())
NAMES = [f"{each.endpoint.method} {each.endpoint.path}" for each in ALL]


@pytest.fixture
def parties(sql: Sql, photo: bytes, model: bytes) -> dict[str, Party]:
    """Everybody, each with a finished task, an upload that was begun and a key."""
    ada, eve = api.person(), api.person("eve@example.org")
    found = {
        "ada": Party(dict(ada.headers), by_key=False, words=["ada@example.org"]),
        "eve": Party(dict(eve.headers), by_key=False, words=["eve@example.org"]),
    }
    for name, event in {
        "key of ada": {"user_email": ada.email},
        "key of eve": {"user_email": eve.email},
        "kiosk": {},
        "booth": {},
    }.items():
        made = api.invoke("create_api_key", {"name": f"{name}'s own", **event})
        found[name] = Party({"x-api-key": made["key"]}, by_key=True, words=[f"{name}'s own", made["prefix"]])
        found[name].ids["key"] = str(made["id"])
    for user in ("ada", "eve"):
        found[user].ids["key"] = found[f"key of {user}"].ids["key"]
    for party in found.values():
        furnish(party, sql, photo, model)
    return found


def furnish(party: Party, sql: Sql, photo: bytes, model: bytes) -> None:
    party.ids["task"] = api.create(party.headers, photo, integrations=party.by_key).json()["request_uuid"]
    api.finish(party.ids["task"], model)
    begun = api.begin_upload(party.headers, {"content_type": "image/jpeg", "size": 9}, integrations=party.by_key)
    party.ids["upload"] = begun.json()["upload_id"]
    keys = sql.execute(
        "SELECT m.object_key FROM media_objects m JOIN tasks t ON m.id = t.photo_id WHERE t.request_uuid = %s",
        (party.ids["task"],),
    ).fetchall()
    party.words += [key for (key,) in keys]


@pytest.fixture
def absent() -> Party:
    """Ids that nothing has."""
    return Party({}, by_key=False, ids={"task": str(uuid.uuid4()), "upload": str(uuid.uuid4()), "key": "987654321"})


def state(sql: Sql) -> dict[str, str]:
    """A digest of every table that holds what somebody owns; when a key was used last is no part of it."""
    digests = {}
    for table in TABLES:
        rows = sql.execute(f"SELECT to_jsonb(t) - 'last_used_at' FROM {table} t").fetchall()  # noqa: S608  # a constant
        digests[table] = hashlib.sha256("".join(sorted(map(repr, rows))).encode()).hexdigest()
    return digests


def told(answer: api.Answer, named: Party) -> tuple[int, str, str]:
    """An answer without the ids that were asked for, and without its own."""
    body = answer.body.decode()
    for value in (*named.ids.values(), answer.headers["x-request-id"]):
        body = re.sub(rf"(?<![\w-]){re.escape(value)}(?![\w-])", "…", body)
    return answer.status, answer.headers["content-type"], body


@pytest.mark.parametrize("operation", ALL, ids=NAMES)
def test_every_id_has_a_recipe(operation: Operation) -> None:
    for name in operation.endpoint.path_names:
        known = operation.plain_path[: operation.plain_path.index(f"{{{name}}}")] + f"{{{name}}}"
        assert known in IN_PATHS, f"say in IN_PATHS what {known} names"
    for name in operation.ids_in_body:
        assert (operation.plain_path, name) in IN_BODIES, (
            f"say in IN_BODIES what {name} of {operation.plain_path} names"
        )


def test_the_operations_with_ids_are_found() -> None:
    """A mistake in finding them would let every other test here pass."""
    assert {
        "GET /3d-model-generation/tasks/{uuid}",
        "GET /integrations/3d-model-generation/tasks/{uuid}/files/{name}",
        "POST /3d-model-generation/tasks",
        "DELETE /api-keys/{id}",
    } <= set(NAMES)


@pytest.mark.parametrize("operation", ALL, ids=NAMES)
def test_what_is_anothers_is_answered_like_what_does_not_exist_and_only_its_owner_finds_it(
    operation: Operation, parties: dict[str, Party], absent: Party, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    parties["nobody"] = Party({}, by_key=True)
    before = state(sql)
    for asker, owners in FOREIGN.items():
        if parties[asker].by_key != operation.by_key:
            continue
        monkeypatch.setenv("INTEGRATIONS_AUTH", "off" if asker == "nobody" else "required")
        settings.cache_clear()
        expected = told(operation.send(parties[asker].headers, absent), absent)
        for owner in owners:
            answer = operation.send(parties[asker].headers, parties[owner])
            assert answer.status == 404, f"{asker} asks for what is {owner}'s: {answer.body!r}"
            assert told(answer, parties[owner]) == expected
            for word in parties[owner].words:
                assert word not in answer.body.decode()
    assert state(sql) == before
    monkeypatch.setenv("INTEGRATIONS_AUTH", "required")
    settings.cache_clear()
    for owner in ("key of ada", "kiosk") if operation.by_key else ("ada",):
        answer = operation.send(parties[owner].headers, parties[owner])
        assert answer.status not in (401, 403, 404), f"{owner} does not find what is their own: {answer.body!r}"
