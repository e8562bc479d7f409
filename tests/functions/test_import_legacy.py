"""Taking over users, tasks and files of the system Facet replaces, from a dump of it and a storage of its own."""

import io
import json
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

import httpx
import psycopg
import pytest
from click.testing import CliRunner
from PIL import Image

from avatars import legacy_preparation, legacy_tasks
from avatars.legacy_rows import OldFile, OldTask
from avatars.legacy_schema import NotUnderstood
from avatars.legacy_source import SourceRefused, SourceUnavailable
from facet.problems import Problem
from facet.settings import settings
from local.verbs import legacy as verb
from tests.conftest import Settings
from tests.functions import api, old_system
from tests.functions.old_system import OldSystem, counts, remarks
from tests.local.services.objects.server import Server, running

PROJECT = Path(__file__).parents[2]
Sql = psycopg.Connection[tuple[Any, ...]]

IMPORTED_TASKS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 14, 15, 18, 40]
SKIPPED = {
    ("user", 2): "EMAIL_COLLISION",
    ("user", 8): "EMAIL_INVALID",
    ("task", 10): "PHOTO_MISSING",
    ("task", 12): "USER_SKIPPED",
    ("task", 13): "NO_OWNER",
    ("task", 16): "PHOTO_MISSING",
    ("task", 17): "USER_SKIPPED",
}
CHANGED = {
    ("user", 4): "PASSWORD_UNUSABLE",
    ("user", 5): "NAME_CUT",  # the last of two: it has no usable password either
    ("user", 6): "PASSWORD_UNUSABLE",
    ("task", 5): "LEGACY_UNFINISHED",
    ("task", 7): "LEGACY_FILE_MISSING",
    ("task", 8): "LEGACY_FILE_INVALID",
    ("task", 9): "PHOTO_REPLACED",
    ("task", 11): "PHOTO_REPLACED",
    ("task", 14): "SKIN_COLOR_LEFT_OUT",
    ("task", 15): "LEGACY_FILE_MISSING",
    ("task", 18): "LEGACY_UNFINISHED",
}


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("old-s3"), old_system.S3_KEYS) as server:
        yield server


@pytest.fixture
def old(clean: Settings, worker: str, storage: Server, model: bytes) -> Iterator[OldSystem]:
    with old_system.restored(clean, worker, old_system.s3_url(storage)) as restored:
        s3 = storage.boto(old_system.S3_KEY, old_system.S3_SECRET)
        if not s3.list_buckets()["Buckets"]:
            old_system.fill(s3, old_system.files_of(restored.settings), model)
        yield restored


def task_uuid(legacy_id: int) -> str:
    return f"00000000-0000-4000-8000-{19 if legacy_id == 40 else legacy_id:012}"


def everything(sql: Sql) -> list[Any]:
    """All rows that an import writes."""
    return sql.execute(
        """
        SELECT 'user', u::text FROM users u UNION ALL SELECT 'task', t::text FROM tasks t
        UNION ALL SELECT 'file', m::text FROM media_objects m UNION ALL SELECT 'import', l::text FROM legacy_imports l
        UNION ALL SELECT 'deletion', d::text FROM object_deletions d ORDER BY 1, 2
        """
    ).fetchall()


def stored_keys() -> set[tuple[str, str]]:
    from facet import objects

    buckets = (settings().minio_images_bucket, settings().minio_3d_files_bucket)
    return {(bucket, key) for bucket in buckets for key in objects.list_keys(bucket)}


def assert_no_orphans(sql: Sql) -> None:
    """Whatever is in storage is described by a row, or noted to be deleted."""
    rows = sql.execute(
        "SELECT bucket, object_key FROM media_objects UNION SELECT bucket, object_key FROM object_deletions"
    ).fetchall()
    assert {key for key in stored_keys() if "/" in key[1] or key[1].startswith("00000000-")} <= set(rows)


def without_files() -> None:
    from facet import objects

    for bucket, key in stored_keys():
        objects.delete(bucket, key)


# ---- what is taken over -------------------------------------------------------------------------------------------


def test_all_that_can_be_is_taken_over_and_the_rest_is_named_with_its_reason(old: OldSystem, sql: Sql) -> None:
    batches = old.hand_over()
    assert counts(batches) == {"users": (7, 0, 2), "tasks": (len(IMPORTED_TASKS), 0, 5)}
    assert remarks(batches, "skipped") == SKIPPED
    assert remarks(batches, "changed") == CHANGED
    assert sql.execute("SELECT array_agg(id ORDER BY id) FROM tasks").fetchone() == (IMPORTED_TASKS,)
    assert (batches[-1]["done"], batches[-1]["total"]) == (19, 19)
    sql.execute("UPDATE object_deletions SET due_at = now()")
    api.on_schedule("purge_expired")
    assert sql.execute("SELECT count(*) FROM object_deletions").fetchone() == (0,)
    assert set(sql.execute("SELECT bucket, object_key FROM media_objects").fetchall()) <= stored_keys()


def test_a_second_run_changes_nothing(old: OldSystem, sql: Sql) -> None:
    old.hand_over()
    before, files = everything(sql), stored_keys()
    assert counts(old.hand_over()) == {"users": (0, 7, 2), "tasks": (0, len(IMPORTED_TASKS), 5)}
    assert (everything(sql), stored_keys()) == (before, files)


@pytest.mark.parametrize("limit", [2, 19])
def test_batches_of_any_size_end_and_take_over_the_same(old: OldSystem, limit: int) -> None:
    batches = old.hand_over(limit=limit)
    assert counts(batches) == {"users": (7, 0, 2), "tasks": (len(IMPORTED_TASKS), 0, 5)}
    assert all(batch["imported"] + batch["present"] + len(batch["skipped"]) <= limit for batch in batches)


def test_a_run_that_is_killed_is_finished_by_the_next(old: OldSystem, sql: Sql, clean: Settings) -> None:
    """Killed while a file has been put and its task is not committed: once at a photo, once at a model."""
    without_files()
    for put in (4, 7):
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(put)],
            input=json.dumps(old.event()).encode(),
            env=old_system.environment_of(clean),
            cwd=PROJECT,
            check=False,
            timeout=60,
        )
        assert done.returncode == -signal.SIGKILL
        assert_no_orphans(sql)
    noted = sql.execute("SELECT count(*) FROM object_deletions").fetchone()
    assert noted is not None
    assert noted[0] > 0
    assert sql.execute("SELECT count(*) FROM tasks").fetchone() != (0,)
    batches = old.hand_over()
    imported, present, skipped = counts(batches)["tasks"]
    assert (imported + present, skipped) == (len(IMPORTED_TASKS), 5)
    assert present > 0
    assert_no_orphans(sql)


KILLED = """
import importlib, json, os, signal, sys
sys.path[:0] = ["layers/facet/python", "shared", "."]
from facet import objects
put, left = objects.put, [int(sys.argv[1])]
def last(*given, **more):
    put(*given, **more)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
objects.put = last
app = importlib.import_module("functions.import_legacy.handler").app
event, cursor = json.load(sys.stdin), "users"
while cursor is not None:
    cursor = app({**event, "after": cursor}, None)["cursor"]
"""


# ---- users --------------------------------------------------------------------------------------------------------


def test_an_old_password_signs_in_and_is_hashed_anew(old: OldSystem, sql: Sql) -> None:
    old.hand_over()
    assert api.sign_in("ada@example.org", "wrong").status == 400
    assert api.sign_in(" ADA@EXAMPLE.ORG ", api.PASSWORD).status == 200
    [(stored,)] = sql.execute("SELECT password_hash FROM users WHERE id = 1").fetchall()
    assert stored.startswith("$argon2id$")
    assert api.sign_in("ada@example.org", api.PASSWORD).status == 200
    assert counts(old.hand_over())["users"] == (0, 7, 2)
    assert sql.execute("SELECT password_hash FROM users WHERE id = 1").fetchall() == [(stored,)]


def test_a_password_the_old_system_cut_and_an_international_address_sign_in(old: OldSystem) -> None:
    old.hand_over()
    assert api.sign_in("long.password@example.org", "x" * 72 + "tail").status == 200
    assert api.sign_in("grace@bücher.example", "Grüße an Grace").status == 200


def test_users_keep_id_name_and_time_and_always_have_a_name(old: OldSystem, sql: Sql) -> None:
    old.hand_over()
    rows = sql.execute("SELECT id, name, email FROM users ORDER BY id").fetchall()
    assert rows[:3] == [
        (1, "Ada Lovelace", "ada@example.org"),
        (3, "no.name", "no.name@example.org"),
        (4, "null.name", "null.name@example.org"),
    ]
    [(created_at,)] = sql.execute("SELECT created_at FROM users WHERE id = 1").fetchall()
    assert created_at == datetime(2024, 12, 10, 15, 54, 8, 959232, tzinfo=UTC)


@pytest.mark.parametrize("email", ["null.name@example.org", "long.name@example.org", "costly@example.org"])
def test_what_is_no_usable_hash_opens_nothing_and_costs_nobody_time(old: OldSystem, sql: Sql, email: str) -> None:
    old.hand_over()
    for password in ("", "plain text", api.PASSWORD):
        assert api.sign_in(email, password).status == 400
    assert sql.execute("SELECT DISTINCT substr(password_hash, 5, 2) FROM users WHERE id IN (1, 3, 7)").fetchall() == [
        ("04",)
    ]
    assert sql.execute("SELECT count(*) FROM users WHERE password_hash LIKE '$2_$31$%'").fetchone() == (0,)


def test_new_ids_begin_above_the_old_ones(old: OldSystem, photo: bytes) -> None:
    old.hand_over()
    newcomer = api.person("new@example.org")
    assert newcomer.user_id > 12
    api.create(newcomer.headers, photo)
    assert api.history(newcomer.headers)[0]["task_id"] > 40


def test_an_id_that_is_taken_here_becomes_a_new_one(old: OldSystem, photo: bytes, sql: Sql) -> None:
    resident = api.person("resident@example.org")
    api.create(resident.headers, photo)
    assert resident.user_id == 1
    changed = remarks(old.hand_over(), "changed")
    assert changed["user", 1] == changed["task", 1] == "ID_CHANGED"
    [(new_id,)] = sql.execute("SELECT id FROM users WHERE email = 'ada@example.org'").fetchall()
    assert new_id > 12
    assert sql.execute("SELECT user_id, id > 40 FROM tasks WHERE request_uuid = %s", (task_uuid(1),)).fetchall() == [
        (new_id, True)
    ]
    assert len(api.history(resident.headers)) == 1


def test_an_account_that_registered_here_gets_nothing_unless_it_is_said_to_be_the_same(
    old: OldSystem, photo: bytes
) -> None:
    squatter = api.person("grace@bücher.example")
    skipped = remarks(old.hand_over(), "skipped")
    assert (skipped["user", 12], skipped["task", 40]) == ("EMAIL_TAKEN", "USER_SKIPPED")
    assert api.history(squatter.headers) == []
    batches = old.hand_over(adopt_accounts=True)
    assert counts(batches)["users"] == (0, 7, 2)
    assert [item["task_request_uuid"] for item in api.history(squatter.headers)] == [task_uuid(40)]


def test_what_was_erased_here_does_not_come_back(old: OldSystem, sql: Sql) -> None:
    old.hand_over()
    sql.execute("DELETE FROM tasks WHERE user_id = 12 AND id = 40")
    assert counts(old.hand_over())["tasks"] == (0, len(IMPORTED_TASKS), 5)
    sql.execute("DELETE FROM tasks WHERE user_id = 12; DELETE FROM users WHERE id = 12")
    assert counts(old.hand_over()) == {"users": (0, 7, 2), "tasks": (0, len(IMPORTED_TASKS), 5)}
    assert sql.execute("SELECT count(*) FROM users WHERE id = 12").fetchone() == (0,)
    sql.execute("DELETE FROM legacy_imports WHERE kind = 'task'")
    assert remarks(old.hand_over(), "skipped")["task", 40] == "USER_ERASED"


def test_who_has_changed_the_email_here_keeps_the_account(old: OldSystem, sql: Sql) -> None:
    old.hand_over()
    sql.execute("UPDATE users SET email = 'countess@example.org' WHERE id = 1")
    sql.execute("DELETE FROM legacy_imports WHERE key = %s", (task_uuid(1),))
    sql.execute("DELETE FROM tasks WHERE request_uuid = %s", (task_uuid(1),))
    sql.execute("DELETE FROM media_objects WHERE object_key = %s", (f"{task_uuid(1)}.glb",))
    assert counts(old.hand_over()) == {"users": (0, 7, 2), "tasks": (1, len(IMPORTED_TASKS) - 1, 5)}
    assert sql.execute("SELECT user_id FROM tasks WHERE id = 1").fetchall() == [(1,)]


# ---- tasks --------------------------------------------------------------------------------------------------------


def test_the_history_shows_old_avatars_in_their_order_with_their_times(old: OldSystem) -> None:
    old.hand_over()
    items = api.history(api.Person(1, "", **api.sign_in("ada@example.org").json()).headers)
    assert [item["task_id"] for item in items] == [1, 2, 6, 9, 11]
    assert items[0]["datetime_created"] == "2024-12-10 15:54:08.959232+00:00"


def test_a_result_is_the_old_model_byte_for_byte(old: OldSystem, model: bytes) -> None:
    old.hand_over()
    ada = api.Person(1, "", **api.sign_in("ada@example.org").json())
    for legacy_id, colour in [(1, "#ba997a"), (2, "#a1b2c3"), (6, None), (9, None)]:
        result = api.read("result", ada.headers, task_uuid(legacy_id)).json()
        assert httpx.get(result["result_file_path"]).content == model
        assert (result["mesh_metadata"] or {}).get("skin_color_hex") == colour
    assert api.status(ada.headers, task_uuid(6)) == "SUCCESS"
    assert api.read("result", ada.headers, task_uuid(40)).status == 404


def test_every_ending_is_kept_and_what_was_open_can_be_tried_again(old: OldSystem, sql: Sql) -> None:
    old.hand_over()
    rows = sql.execute("SELECT id, status, failure_code FROM tasks WHERE status <> 'SUCCESS' ORDER BY id").fetchall()
    assert rows == [
        (3, "FAILED", "LEGACY_FAILED"),
        (4, "INVALID_INPUT", "LEGACY_INVALID_INPUT"),
        (5, "FAILED", "LEGACY_UNFINISHED"),
        (7, "FAILED", "LEGACY_FILE_MISSING"),
        (8, "FAILED", "LEGACY_FILE_INVALID"),
        (15, "FAILED", "LEGACY_FILE_MISSING"),
        (18, "FAILED", "LEGACY_UNFINISHED"),
    ]
    ada = api.Person(1, "", **api.sign_in("ada@example.org").json())
    assert api.retry(ada.headers, task_uuid(5)).status == 201
    assert sql.execute("SELECT count(*) FROM outbox").fetchone() == (1,)


def test_a_photo_is_kept_without_its_metadata_under_a_key_of_ours(old: OldSystem, sql: Sql) -> None:
    old.hand_over()
    [item] = api.history(api.Person(12, "", **api.sign_in("grace@bücher.example", "Grüße an Grace").json()).headers)
    photo = httpx.get(item["input_image_url"]).read()
    assert b"Exif" not in photo
    keys = sql.execute("SELECT object_key FROM media_objects WHERE kind = 'photo'").fetchall()
    assert [key for (key,) in keys if not key.startswith("user-")] == []


def test_a_grey_picture_stands_for_a_photo_that_is_lost(old: OldSystem) -> None:
    old.hand_over()
    items = api.history(api.Person(1, "", **api.sign_in("ada@example.org").json()).headers)
    [url] = [item["input_image_url"] for item in items if item["task_id"] == 9]
    with Image.open(io.BytesIO(httpx.get(url).content)) as picture:
        assert picture.getpixel((5, 5)) == (200, 200, 200)


def test_tasks_of_outside_systems_go_to_the_key_that_is_named(old: OldSystem, model: bytes) -> None:
    key = api.invoke("create_api_key", {"name": "kiosk"})
    batches = old.hand_over(api_key_id=key["id"])
    assert ("task", 13) not in remarks(batches, "skipped")
    result = api.read("result", {"x-api-key": key["key"]}, task_uuid(13), integrations=True).json()
    assert httpx.get(result["result_file_path"]).content == model


def test_tasks_of_outside_systems_are_nobodys_where_keys_are_not_asked_for(
    old: OldSystem, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTEGRATIONS_AUTH", "off")
    settings.cache_clear()
    old.hand_over()
    assert sql.execute("SELECT client_type, user_id, api_key_id FROM tasks WHERE id = 13").fetchall() == [
        ("EXTERNAL_INTEGRATION", None, None)
    ]
    assert api.read("status", {}, task_uuid(13), integrations=True).json() == {"status": "SUCCESS"}


def test_an_api_key_that_is_not_there_is_named(old: OldSystem) -> None:
    with pytest.raises(legacy_tasks.ApiKeyUnknown, match="no API key 99 in use"):
        api.invoke("import_legacy", old.event(after="tasks", api_key_id=99))


def test_times_without_a_zone_are_utc(old: OldSystem, sql: Sql) -> None:
    old.change("ALTER TABLE task ALTER dt_created TYPE timestamp USING dt_created AT TIME ZONE 'UTC'")
    old.hand_over()
    [(created_at,)] = sql.execute("SELECT created_at FROM tasks WHERE id = 2").fetchall()
    assert created_at == datetime(2024, 12, 11, 10, tzinfo=UTC)


def test_an_ending_is_never_before_the_beginning(old: OldSystem, sql: Sql) -> None:
    old.hand_over()
    assert sql.execute("SELECT id FROM tasks WHERE finished_at < created_at OR finished_at > now()").fetchall() == []


def test_an_old_file_that_lies_where_ours_would_is_never_written_over() -> None:
    """The old storage may be the very server that Facet uses, with the same buckets."""
    key, uuid = f"{task_uuid(1)}.glb", UUID(task_uuid(1))
    task = OldTask(1, str(uuid), "SUCCESS", 1, "a@b", "", None, OldFile("3d-files", key), "", None, None)
    assert legacy_preparation._model_file(task, uuid, "3d-files", b"").object_key == f"{uuid}/model.glb"
    assert legacy_preparation._model_file(task, uuid, "other-3d-files", b"").object_key == key


# ---- what is not understood, and servers that refuse -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            "ALTER TABLE task RENAME request_uuid TO ticket",
            "The old table task has no column request_uuid or task_request_uuid. Found: ticket, status, user_id",
        ),
        ("ALTER TABLE minio_metadata RENAME TO files", "no table minio_metadata in its search path. Found: files,"),
        ('ALTER TABLE "user" ADD key uuid; ALTER TABLE "user" RENAME id TO number', "table user has no column id"),
        ('DROP TABLE token, task, mesh_metadata, minio_metadata, "user"', "Found: no tables at all"),
    ],
)
def test_an_unknown_schema_is_refused_with_what_is_missing_and_what_is_there(
    old: OldSystem, sql: Sql, change: LiteralString, words: str
) -> None:
    old.change(change)
    with pytest.raises(NotUnderstood) as refusal:
        api.invoke("import_legacy", old.event())
    assert words in str(refusal.value)
    assert sql.execute("SELECT count(*) FROM users").fetchone() == (0,)


def test_tables_and_columns_may_have_other_known_names(old: OldSystem) -> None:
    old.change('ALTER TABLE "user" RENAME TO users')
    old.change("ALTER TABLE task RENAME input_file_metadata_id TO source_file_metadata_id")
    old.change("ALTER TABLE task DROP mesh_metadata_id, DROP dt_updated")
    old.change("ALTER TABLE users DROP name, DROP dt_created")
    assert counts(old.hand_over()) == {"users": (7, 0, 2), "tasks": (len(IMPORTED_TASKS), 0, 5)}


@pytest.mark.parametrize(
    ("dsn", "words"),
    [
        ("postgresql://{user}:p%40ss-w0rd@{host}:{port}/nowhere", "refuses the user or the password"),
        ("postgresql://{user}:{password}@{host}:{port}/nowhere", "has no database of this name"),
        ("postgresql://{user}:p%40ss-w0rd@{host}:9/{db}", "nothing listens there"),
        ("postgresql://{user}:p%40ss-w0rd@nowhere.invalid/{db}", "the name of its host is unknown"),
        ("postgresql://{user}:p@ss-w0rd@{host}/{db}", "cannot be read"),
        ("postgresql://{user}:p/ss-w0rd@{host}/{db}", "cannot be read|is none"),
        ("{user}:ss-w0rd@{host}/{db}", "The DSN of the old database is none"),
        ("postgresql://{user}:ss-w0rd@{host}/{db}?nonsense=1", "The DSN of the old database is none"),
    ],
)
def test_a_database_that_cannot_be_read_is_told_without_its_password(old: OldSystem, dsn: str, words: str) -> None:
    given = {name.removeprefix("POSTGRES_").lower(): value for name, value in old.settings.items()}
    with pytest.raises((SourceUnavailable, SourceRefused), match=words) as refusal:
        api.invoke("import_legacy", {**old.event(), "dsn": dsn.format_map(given)})
    assert_silent(refusal, "w0rd", "ss-w", given["password"])


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "ftp://KEY:s3cret@host", "http://host:9000", "http://KEY:s3/cret@host", "http://KEY:s@host:nan"],
)
def test_an_s3_url_that_is_none_is_told_before_anything_is_done(old: OldSystem, sql: Sql, url: str) -> None:
    with pytest.raises(SourceRefused, match="The S3-URL is none") as refusal:
        api.invoke("import_legacy", {**old.event(), "s3_url": url})
    assert_silent(refusal, "s3cret", "s@", "cret@")
    assert sql.execute("SELECT count(*) FROM users").fetchone() == (0,)


def test_a_storage_that_refuses_the_key_ends_the_run_before_a_task_is_lost(
    old: OldSystem, sql: Sql, storage: Server
) -> None:
    event = {**old.event(after="tasks"), "s3_url": old_system.s3_url(storage, secret="wrong-s3cret")}
    api.invoke("import_legacy", old.event())
    with pytest.raises(SourceRefused, match="refuses this key") as refusal:
        api.invoke("import_legacy", event)
    assert_silent(refusal, "s3cret")
    assert sql.execute("SELECT count(*) FROM tasks").fetchone() == (0,)


def test_a_storage_that_is_away_ends_the_run_before_a_task_is_lost(
    old: OldSystem, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("avatars.legacy_source.ATTEMPTS", 1)
    api.invoke("import_legacy", old.event())
    with pytest.raises(SourceUnavailable, match="storage cannot be reached") as refusal:
        api.invoke("import_legacy", {**old.event(after="tasks"), "s3_url": "http://KEY:s3cret@127.0.0.1:9"})
    assert_silent(refusal, "s3cret")
    assert sql.execute("SELECT count(*) FROM tasks").fetchone() == (0,)


def assert_silent(refusal: pytest.ExceptionInfo[BaseException], *secrets: str) -> None:
    """Neither the message nor a traceback that would be logged with it has a part of a password."""
    told = "".join(traceback.format_exception(refusal.value)).partition("The above exception was")[0]
    told = "".join(line for line in told.splitlines() if not line.lstrip().startswith(("File", "api.", "dsn", "url")))
    assert [secret for secret in secrets if secret in f"{refusal.value}"] == []
    assert [secret for secret in secrets if secret in told] == []


@pytest.mark.parametrize("wrong", [{"after": "tokens"}, {"after": "users:x"}, {"limit": 0}, {"dsn": None}, {"more": 1}])
def test_an_event_that_is_not_understood_is_refused_without_its_secrets(old: OldSystem, wrong: dict[str, Any]) -> None:
    with pytest.raises(Problem) as refusal:
        api.invoke("import_legacy", {**old.event(), **wrong})
    told = f"{refusal.value} {refusal.value.errors} {refusal.value.__cause__!r}"
    assert [secret for secret in (old.settings["POSTGRES_PASSWORD"], "cret") if secret in told] == []


def test_a_run_says_nothing_of_what_it_was_given(old: OldSystem, capfd: pytest.CaptureFixture[str]) -> None:
    old.hand_over()
    said = "".join(capfd.readouterr())
    assert not [part for part in (old.settings["POSTGRES_PASSWORD"], "cret", "example.org", "$2b$") if part in said]


# ---- the command line -----------------------------------------------------------------------------------------------


def test_the_verb_imports_all_and_writes_its_report(
    old: OldSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verb, "operate", api.invoke)
    monkeypatch.setenv("LEGACY_DSN", old.dsn)
    monkeypatch.setenv("LEGACY_S3_URL", old.s3_url)
    report = tmp_path / "report.jsonl"
    result = CliRunner().invoke(verb.import_legacy, ["--batch", "7", "--report", str(report)])
    assert result.exit_code == 0
    assert "users   7 imported, 0 already there, 2 skipped\ntasks   14 imported, 0 already there, 5 skipped" in (
        result.stdout
    )
    assert "skipped: 1 NO_OWNER" in result.stdout
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert {(line["what"], line["id"]): line["code"] for line in lines if line["outcome"] == "skipped"} == SKIPPED
    assert "tasks 19 of 19" in result.stderr
