"""The export: all that is kept of a user, nothing of others, in parts that fit."""

import json
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from avatars import export
from tests.functions import api

Sql = psycopg.Connection[tuple[Any, ...]]
LISTS = ("sign_ins", "api_keys", "uploads", "tasks")


def part(person: api.Person, cursor: str | None = None) -> api.Answer:
    query = "" if cursor is None else f"?cursor={cursor}"
    return api.request("export_data", "GET", f"/user-info/export{query}", headers=person.headers)


def whole(person: api.Person) -> list[dict[str, Any]]:
    """All parts."""
    parts = [part(person).json()]
    while (following := parts[-1]["next"]) is not None:
        path = following.removeprefix("/api/v1")
        parts.append(api.request("export_data", "GET", path, headers=person.headers).json())
    return parts


def test_all_that_is_kept_is_told(sql: Sql, photo: bytes, model: bytes) -> None:
    person = api.person()
    api.sign_in(person.email)
    key = api.new_key(user_email=person.email)
    made = api.create(person.headers, photo, metadata={"order": "é"}).json()["request_uuid"]
    by_key = api.create(key, photo, integrations=True).json()["request_uuid"]
    api.finish(made, model)
    api.consume({"request_uuid": by_key, "status": "INVALID_INPUT", "error": {"code": "NO_FACE", "message": "none"}})
    upload = api.begin_upload(person.headers, {"content_type": "image/png", "size": 7}).json()["upload_id"]

    answer = part(person)
    assert answer.status == 200
    assert answer.headers["content-disposition"] == 'attachment; filename="facet-export.json"'
    assert answer.headers["cache-control"] == "no-store"
    assert "link" not in answer.headers
    told = answer.json()
    assert told["next"] is None
    assert (told["user"]["user_id"], told["user"]["name"], told["user"]["email"]) == (
        person.user_id, "Ada Lovelace", person.email,
    )  # fmt: skip
    assert [one["revoked_at"] for one in told["sign_ins"]] == [None, None]
    assert [(one["name"], key["x-api-key"].startswith(one["prefix"])) for one in told["api_keys"]] == [("kiosk", True)]
    assert [(one["upload_id"], one["size"]) for one in told["uploads"]] == [(upload, 7)]
    first, second = told["tasks"]
    assert (first["request_uuid"], first["status"], first["metadata"]) == (made, "SUCCESS", {"order": "é"})
    assert first["mesh_metadata"] == {"skin_color_hex": "#ba997a", "vertices": None, "triangles": None}
    assert (first["failure"], first["api_key_id"]) == (None, None)
    folder = f"/api/v1/3d-model-generation/tasks/{made}/files"
    assert [(file["name"], file["link"]) for file in first["files"]] == [
        ("photo.jpg", f"{folder}/photo.jpg"),
        ("model.glb", f"{folder}/model.glb"),
    ]
    assert first["files"][1]["bytes"] == len(model)
    assert (second["request_uuid"], second["failure"]) == (by_key, {"code": "NO_FACE", "message": "none"})
    assert (second["api_key_id"], second["mesh_metadata"]) == (told["api_keys"][0]["id"], None)


def test_no_secret_is_told(sql: Sql) -> None:
    person = api.person()
    key = api.new_key(user_email=person.email)["x-api-key"]
    text = part(person).body.decode()
    hashes = sql.execute(
        "SELECT password_hash FROM users UNION ALL SELECT encode(secret_hash, 'hex') FROM api_keys"
        " UNION ALL SELECT encode(token_hash, 'hex') FROM refresh_tokens"
    ).fetchall()
    secrets = [key, person.refresh_token, *(value for (value,) in hashes)]
    assert len(secrets) == 5
    assert [secret for secret in secrets if secret in text] == []


def test_nothing_of_others_is_told(photo: bytes) -> None:
    ada, eve = api.person(), api.person("eve@example.org")
    api.create(eve.headers, photo)
    api.create(api.new_key(user_email=eve.email), photo, integrations=True)
    api.create(api.new_key(), photo, integrations=True)
    told = part(ada).json()
    assert {name: len(told[name]) for name in LISTS} == {"sign_ins": 1, "api_keys": 0, "uploads": 0, "tasks": 0}


def add_tasks(sql: Sql, user_id: int, number: int, *, metadata: dict[str, str]) -> None:
    sql.execute(
        """
        WITH photos AS (
            INSERT INTO media_objects (kind, bucket, object_key, content_type, size, sha256)
            SELECT 'photo', 'input-images', 'photo-' || n, 'image/jpeg', 9, decode(repeat('ab', 32), 'hex')
            FROM generate_series(1, %s) n RETURNING id
        )
        INSERT INTO tasks (user_id, client_type, photo_id, output_bucket, metadata)
        SELECT %s, 'WEB_SERVICE', id, '3d-files', %s FROM photos ORDER BY id
        """,
        (number, user_id, Jsonb(metadata)),
    )


def test_five_thousand_tasks_fit_into_one_answer_of_lambda(sql: Sql) -> None:
    person = api.person()
    add_tasks(sql, person.user_id, 5000, metadata={"order": "4711"})
    answer = part(person)
    assert len(answer.json()["tasks"]) == 5000
    assert len(json.dumps(answer.body.decode())) < 6_000_000


def test_what_does_not_fit_comes_in_parts_and_each_entry_once(sql: Sql) -> None:
    person = api.person()
    add_tasks(sql, person.user_id, 1200, metadata={"words": "é" * 1500})
    parts = whole(person)
    assert len(parts) > 1
    assert all(len(json.dumps(json.dumps(each))) < 6_000_000 for each in parts)
    tasks = [task["task_id"] for each in parts for task in each["tasks"]]
    assert len(tasks) == 1200
    assert tasks == sorted(set(tasks))
    assert [len(each["sign_ins"]) for each in parts] == [1] + [0] * (len(parts) - 1)


def test_parts_may_end_anywhere(sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    person = api.person()
    for _ in range(3):
        api.sign_in(person.email)
        api.new_key(user_email=person.email)
        api.begin_upload(person.headers, {"content_type": "image/png", "size": 7})
    add_tasks(sql, person.user_id, 3, metadata={})
    expected = part(person).json()
    for size in (1, 300, 1000):
        monkeypatch.setattr(export, "MAX_BYTES", size)
        parts = whole(person)
        assert {name: [one for each in parts for one in each[name]] for name in LISTS} == {
            name: expected[name] for name in LISTS
        }
        assert all(each["user"] == expected["user"] for each in parts)
    assert part(person).headers["link"] == f'<{part(person).json()["next"]}>; rel="next"'


@pytest.mark.parametrize("cursor", ["4.", "x", "3", "-1.", "3.%00", "0.é", "3." + "0" * 61, "3.Z", "0.%0A"])
def test_a_cursor_that_was_not_given_is_a_422(cursor: str) -> None:
    answer = part(api.person(), cursor)
    assert (answer.status, answer.json()["code"]) == (422, "VALIDATION_FAILED")


@pytest.mark.parametrize("end", ["DELETE FROM users", "UPDATE users SET disabled_at = now()"])
def test_who_is_gone_exports_nothing(sql: Sql, end: Any) -> None:
    person = api.person()
    sql.execute(end)
    answer = part(person)
    assert (answer.status, answer.json()["code"]) == (403, "TOKEN_INVALID")
