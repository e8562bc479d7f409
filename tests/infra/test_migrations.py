"""The schema: moving it, and what it refuses."""

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from subprocess import PIPE
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql

from migrations import schema
from tests.servers import empty_database, postgres

Settings = dict[str, str]
Connection = psycopg.Connection[tuple[Any, ...]]
Row = dict[str, Any]

PROJECT = Path(__file__).parents[2]
LAYER = PROJECT / "infra/migrations/python"
HASH, OTHER_HASH = b"h" * 32, b"o" * 32
HEAD = max(path.name[:4] for path in LAYER.glob("migrations/versions/[0-9]*.py"))
FAMILY = "0b7e0f7e-3f7c-4c36-9d1f-0c2f2c3b4a50"
NOW, LATER = "2026-11-22 18:00+00", "2026-11-22 19:00+00"


def address(settings: Settings) -> dict[str, str]:
    names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "DB"}
    return {ours: settings[f"POSTGRES_{theirs}"] for ours, theirs in names.items()}


def move(settings: Settings, revision: str) -> str | None:
    return schema.move(partial(postgres, settings), revision)


@pytest.fixture
def fresh(database: Settings, worker: str) -> Iterator[Settings]:
    with empty_database(database, f"{worker}_fresh") as settings:
        yield settings


@pytest.fixture(scope="module")
def migrated_database(database: Settings, worker: str) -> Iterator[Connection]:
    """A connection to a migrated database with one row of everything a task refers to."""
    with empty_database(database, f"{worker}_constraints") as settings:
        move(settings, "head")
        with postgres(settings) as conn:
            for table, row in REFERENCES:
                insert(conn, table, row)
            conn.commit()
            yield conn


@pytest.fixture
def conn(migrated_database: Connection) -> Iterator[Connection]:
    """That connection inside a transaction which leaves no trace."""
    yield migrated_database
    migrated_database.rollback()


def insert(conn: Connection, table: str, row: Row) -> None:
    conn.execute(
        sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({})").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join(map(sql.Placeholder, row)),
        ),
        row,
    )


def update(conn: Connection, table: str, changes: Row) -> None:
    assignments = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in changes]
    conn.execute(sql.SQL("UPDATE {} SET {}").format(sql.Identifier(table), sql.SQL(", ").join(assignments)), changes)


def objects_in(conn: Connection) -> set[str]:
    rows = conn.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " UNION SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        " UNION SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace"
    )
    return {name for (name,) in rows if "alembic_version" not in name}


# ---- Valid rows, from which every case departs ----------------------------------------------------------------------
USER = {"id": 2, "name": "Ada", "email": "ada@example.com", "password_hash": "$argon2id$"}
API_KEY = {"id": 2, "name": "shop", "prefix": "avk_1", "secret_hash": OTHER_HASH, "created_at": NOW}
FAMILY_ROW = {"id": FAMILY, "user_id": 1, "created_at": NOW, "expires_at": LATER}
TOKEN = {
    "family": FAMILY, "generation": 1, "user_id": 1, "token_hash": OTHER_HASH, "created_at": NOW, "expires_at": LATER,
}  # fmt: skip
MEDIA = {
    "id": 9, "kind": "photo", "bucket": "input-images", "object_key": "new", "content_type": "image/png", "size": 1,
    "sha256": HASH,
}  # fmt: skip
OUTBOX = {"task_id": 1, "attempt": 2}
TASK = {
    "id": 2, "user_id": 1, "client_type": "WEB_SERVICE", "photo_id": 1, "output_bucket": "3d-files", "created_at": NOW,
}  # fmt: skip
UPLOAD = {
    "user_id": 1, "bucket": "input-images", "object_key": "uploads/2", "content_type": "image/png", "size": 1,
    "created_at": NOW, "expires_at": LATER,
}  # fmt: skip
IDEMPOTENCY = {"user_id": 1, "operation": "create_task", "key": "k2", "fingerprint": HASH, "locked_until": LATER}
SANDBOX = {"test_mode": True, "sandbox_outcome": "slow:30", "sandbox_due_at": LATER}

PENDING = {"status": "PENDING", "published_at": NOW}
IN_PROGRESS = {"status": "IN_PROGRESS", "started_at": NOW, "last_message_at": NOW}
SUCCESS = {"status": "SUCCESS", "progress": 100, "model_id": 2, "finished_at": LATER}
INVALID_INPUT = {"status": "INVALID_INPUT", "failure_code": "NO_FACE", "finished_at": LATER}
FAILED = {"status": "FAILED", "failure_code": "AGENT_ERROR", "finished_at": LATER}
CANCELLED = {"status": "CANCELLED", "finished_at": LATER}
INITIAL = {"status": "INITIAL"}

REFERENCES: list[tuple[str, Row]] = [
    ("users", {**USER, "id": 1, "email": "grace@example.com"}),
    ("users", {**USER, "id": 3, "email": "joan@example.com"}),
    ("api_keys", {**API_KEY, "id": 1, "secret_hash": HASH}),
    ("refresh_families", FAMILY_ROW),
    ("refresh_tokens", {**TOKEN, "generation": 0, "token_hash": HASH}),
    ("media_objects", {**MEDIA, "id": 1, "object_key": "photo"}),
    ("media_objects", {**MEDIA, "id": 2, "kind": "model", "object_key": "model"}),
    ("media_objects", {**MEDIA, "id": 3, "kind": "model", "object_key": "taken"}),
    ("tasks", {**TASK, "id": 1, **SUCCESS, "model_id": 3}),
    ("outbox", {"task_id": 1, "attempt": 1}),
    ("uploads", {**UPLOAD, "object_key": "uploads/1"}),
    ("idempotency_keys", {**IDEMPOTENCY, "key": "k1"}),
]

REFUSED: list[tuple[str, str, Row]] = [
    ("users_name_length", "users", {**USER, "name": ""}),
    ("users_name_length", "users", {**USER, "name": "n" * 101}),
    ("users_email_shape", "users", {**USER, "email": "nobody"}),
    ("users_email_shape", "users", {**USER, "email": "a b@example.com"}),
    ("users_email_shape", "users", {**USER, "email": f"{'a' * 320}@example.com"}),
    ("users_password_hash_present", "users", {**USER, "password_hash": ""}),
    ("users_password_version_positive", "users", {**USER, "password_version": 0}),
    ("users_email_key", "users", {**USER, "email": "GRACE@Example.com"}),
    ("api_keys_name_length", "api_keys", {**API_KEY, "name": ""}),
    ("api_keys_prefix_present", "api_keys", {**API_KEY, "prefix": ""}),
    ("api_keys_secret_hash_is_sha256", "api_keys", {**API_KEY, "secret_hash": b"short"}),
    ("api_keys_secret_hash_key", "api_keys", {**API_KEY, "secret_hash": HASH}),
    ("api_keys_expire_after_creation", "api_keys", {**API_KEY, "created_at": LATER, "expires_at": NOW}),
    ("api_keys_user_id_fkey", "api_keys", {**API_KEY, "user_id": 99}),
    ("refresh_families_pkey", "refresh_families", FAMILY_ROW),
    ("refresh_families_expire_after_creation", "refresh_families", {**FAMILY_ROW, "created_at": LATER}),
    ("refresh_tokens_pkey", "refresh_tokens", {**TOKEN, "generation": 0}),
    ("refresh_tokens_token_hash_key", "refresh_tokens", {**TOKEN, "token_hash": HASH}),
    ("refresh_tokens_token_hash_is_sha256", "refresh_tokens", {**TOKEN, "token_hash": b"plain token"}),
    ("refresh_tokens_generation_counts_up", "refresh_tokens", {**TOKEN, "generation": -1}),
    ("refresh_tokens_expire_after_creation", "refresh_tokens", {**TOKEN, "created_at": LATER}),
    ("refresh_tokens_user_is_the_familys", "refresh_tokens", {**TOKEN, "user_id": 3}),
    ("media_objects_kind_known", "media_objects", {**MEDIA, "kind": "video"}),
    ("media_objects_address_present", "media_objects", {**MEDIA, "bucket": ""}),
    ("media_objects_address_present", "media_objects", {**MEDIA, "object_key": ""}),
    ("media_objects_address_present", "media_objects", {**MEDIA, "object_key": "k" * 1025}),
    ("media_objects_address_key", "media_objects", {**MEDIA, "object_key": "photo"}),
    ("media_objects_size_positive", "media_objects", {**MEDIA, "size": 0}),
    ("media_objects_sha256_length", "media_objects", {**MEDIA, "sha256": b""}),
    ("tasks_client_type_known", "tasks", {**TASK, "client_type": "ROBOT"}),
    ("tasks_status_known", "tasks", {**TASK, "status": "LOST"}),
    ("tasks_web_service_has_a_user", "tasks", {**TASK, "user_id": None}),
    ("tasks_web_service_has_a_user", "tasks", {**TASK, "api_key_id": 1}),
    ("tasks_progress_range", "tasks", {**TASK, "progress": 101}),
    ("tasks_progress_range", "tasks", {**TASK, "progress": -1}),
    ("tasks_counters_positive", "tasks", {**TASK, "attempt": 0}),
    ("tasks_counters_positive", "tasks", {**TASK, "revision": 0}),
    ("tasks_output_bucket_present", "tasks", {**TASK, "output_bucket": ""}),
    ("tasks_pending_is_published", "tasks", {**TASK, "status": "PENDING"}),
    ("tasks_in_progress_is_started", "tasks", {**TASK, **IN_PROGRESS, "started_at": None}),
    ("tasks_in_progress_is_started", "tasks", {**TASK, **IN_PROGRESS, "last_message_at": None}),
    ("tasks_model_means_success", "tasks", {**TASK, **SUCCESS, "model_id": None}),
    ("tasks_model_means_success", "tasks", {**TASK, **FAILED, "model_id": 2}),
    ("tasks_model_means_success", "tasks", {**TASK, "model_id": 2}),
    ("tasks_model_id_key", "tasks", {**TASK, **SUCCESS, "model_id": 3}),
    ("tasks_success_is_complete", "tasks", {**TASK, **SUCCESS, "progress": 99}),
    ("tasks_mesh_belongs_to_model", "tasks", {**TASK, "skin_color_hex": "#ba997a"}),
    ("tasks_mesh_belongs_to_model", "tasks", {**TASK, **FAILED, "vertices": 3}),
    ("tasks_skin_color_hex_shape", "tasks", {**TASK, **SUCCESS, "skin_color_hex": "#BA997A"}),
    ("tasks_skin_color_hex_shape", "tasks", {**TASK, **SUCCESS, "skin_color_hex": "ba997a"}),
    ("tasks_mesh_counts_positive", "tasks", {**TASK, **SUCCESS, "vertices": 0}),
    ("tasks_mesh_counts_positive", "tasks", {**TASK, **SUCCESS, "triangles": -1}),
    ("tasks_failure_has_a_code", "tasks", {**TASK, **FAILED, "failure_code": None}),
    ("tasks_failure_has_a_code", "tasks", {**TASK, **INVALID_INPUT, "failure_code": None}),
    ("tasks_failure_has_a_code", "tasks", {**TASK, **SUCCESS, "failure_code": "NO_FACE"}),
    ("tasks_failure_has_a_code", "tasks", {**TASK, **CANCELLED, "failure_code": "NO_FACE"}),
    ("tasks_failure_code_present", "tasks", {**TASK, **FAILED, "failure_code": ""}),
    ("tasks_failure_message_has_a_code", "tasks", {**TASK, "failure_message": "no face"}),
    ("tasks_terminal_is_finished", "tasks", {**TASK, **CANCELLED, "finished_at": None}),
    ("tasks_terminal_is_finished", "tasks", {**TASK, "finished_at": NOW}),
    ("tasks_request_uuid_key", "tasks", {**TASK, "id": 4, "request_uuid": FAMILY}),
    ("tasks_photo_id_fkey", "tasks", {**TASK, "photo_id": 99}),
    ("tasks_user_id_fkey", "tasks", {**TASK, "user_id": 99}),
    ("outbox_announces_an_attempt_once", "outbox", {**OUTBOX, "attempt": 1}),
    ("outbox_counters_valid", "outbox", {**OUTBOX, "attempt": 0}),
    ("outbox_counters_valid", "outbox", {**OUTBOX, "failures": -1}),
    ("outbox_task_id_fkey", "outbox", {**OUTBOX, "task_id": 99}),
    ("api_keys_scopes_known", "api_keys", {**API_KEY, "scopes": ["admin"]}),
    ("api_keys_scopes_known", "api_keys", {**API_KEY, "scopes": []}),
    ("tasks_options_is_an_object", "tasks", {**TASK, "options": "[]"}),
    ("tasks_metadata_is_an_object", "tasks", {**TASK, "metadata": "7"}),
    ("tasks_lost_counts_up", "tasks", {**TASK, "lost": -1}),
    ("tasks_sandbox_means_test_mode", "tasks", {**TASK, "test_mode": True}),
    ("tasks_sandbox_means_test_mode", "tasks", {**TASK, "sandbox_outcome": "success"}),
    ("tasks_sandbox_due_has_an_outcome", "tasks", {**TASK, "sandbox_due_at": LATER}),
    ("object_deletions_failures_valid", "object_deletions", {"bucket": "b", "object_key": "k", "failures": -1}),
    ("uploads_address_key", "uploads", {**UPLOAD, "object_key": "uploads/1"}),
    ("uploads_size_positive", "uploads", {**UPLOAD, "size": 0}),
    ("uploads_sha256_length", "uploads", {**UPLOAD, "sha256": b"short"}),
    ("uploads_expire_after_creation", "uploads", {**UPLOAD, "expires_at": NOW}),
    ("idempotency_keys_scope", "idempotency_keys", {**IDEMPOTENCY, "key": "k1"}),
    ("idempotency_keys_key_length", "idempotency_keys", {**IDEMPOTENCY, "key": ""}),
    ("idempotency_keys_key_length", "idempotency_keys", {**IDEMPOTENCY, "key": "k" * 256}),
    ("idempotency_keys_fingerprint_is_sha256", "idempotency_keys", {**IDEMPOTENCY, "fingerprint": b"short"}),
    ("legacy_imports_kind_known", "legacy_imports", {"kind": "token", "key": "k", "legacy_id": 1, "new_id": 1}),
    ("legacy_imports_key_present", "legacy_imports", {"kind": "user", "key": "", "legacy_id": 1, "new_id": 1}),
]

# Every rule of how a task may change: state before, forbidden change.
FORBIDDEN: list[tuple[str, Row, Row]] = [
    *[
        ("tasks_terminal_never_changes", before, {**after, "revision": 2})
        for before in (SUCCESS, INVALID_INPUT, FAILED, CANCELLED)
        for after in (
            {"status": "IN_PROGRESS", "progress": 100, "model_id": None, "failure_code": None, "finished_at": None,
             "started_at": NOW, "last_message_at": NOW, "attempt": 2},
            {"finished_at": "2026-11-22 20:00+00"},
        )
    ],
    ("tasks_terminal_never_changes", FAILED, {**CANCELLED, "failure_code": None, "revision": 2}),
    ("tasks_terminal_never_changes", SUCCESS, {"skin_color_hex": "#ba997a", "revision": 2}),
    ("tasks_terminal_never_changes", FAILED, {"failure_message": "another", "revision": 2}),
    ("tasks_progress_never_falls", {**IN_PROGRESS, "progress": 50}, {"progress": 49, "revision": 2}),
    ("tasks_revision_never_falls", {**PENDING, "revision": 3}, {"revision": 2}),
    ("tasks_attempt_never_falls", {**PENDING, "attempt": 2}, {"attempt": 1, "revision": 2}),
    ("tasks_change_raises_revision", PENDING, IN_PROGRESS),
    ("tasks_change_raises_revision", IN_PROGRESS, SUCCESS),
    ("tasks_state_goes_back_only_with_a_new_attempt", IN_PROGRESS, {**PENDING, "revision": 2}),
    ("tasks_state_goes_back_only_with_a_new_attempt", PENDING, {**INITIAL, "revision": 2}),
    ("tasks_origin_never_changes", PENDING, {"user_id": 3}),
    ("tasks_origin_never_changes", PENDING, {"photo_id": 2}),
    ("tasks_origin_never_changes", PENDING, {"output_bucket": "elsewhere"}),
    ("tasks_origin_never_changes", PENDING, {"request_uuid": FAMILY}),
    ("tasks_origin_never_changes", PENDING, {"test_mode": True, "sandbox_outcome": "stuck"}),
    ("tasks_origin_never_changes", PENDING, {"retry_of": FAMILY}),
    ("tasks_origin_never_changes", PENDING, {"options": '{"pose": "T"}'}),
    ("tasks_origin_never_changes", PENDING, {"metadata": '{"order": 1}'}),
]  # fmt: skip

ALLOWED: list[tuple[Row, Row]] = [
    (INITIAL, PENDING),
    *[(before, after) for before in (INITIAL, PENDING) for after in (IN_PROGRESS, SUCCESS, INVALID_INPUT, FAILED)],
    *[(IN_PROGRESS, after) for after in (SUCCESS, INVALID_INPUT, FAILED)],
    *[(before, CANCELLED) for before in (INITIAL, PENDING, IN_PROGRESS)],
    (IN_PROGRESS, {**PENDING, "attempt": 2}),
    (SUCCESS, {"last_message_at": LATER}),
]


# ---- Moving ---------------------------------------------------------------------------------------------------------
def test_the_schema_can_be_taken_down_and_put_up_again(fresh: Settings) -> None:
    assert move(fresh, "head") == HEAD
    with postgres(fresh) as conn:
        built = objects_in(conn)
    assert {"users", "tasks", "outbox", "tasks_guard", "tasks_open"} <= built
    assert move(fresh, "base") is None
    with postgres(fresh) as conn:
        assert objects_in(conn) == set()
    assert move(fresh, "head") == HEAD
    with postgres(fresh) as conn:
        assert objects_in(conn) == built


def test_a_step_back_leaves_tasks_guarded_as_before(fresh: Settings) -> None:
    def guard() -> str:
        with postgres(fresh) as conn:
            found = conn.execute("SELECT pg_get_functiondef('tasks_guard'::regproc)").fetchone()
        assert found is not None
        return str(found[0])

    move(fresh, "0001")
    before = guard()
    move(fresh, "0002")
    assert guard() != before
    move(fresh, "-1")
    assert guard() == before


def test_going_to_where_the_schema_is_changes_nothing(fresh: Settings) -> None:
    assert [move(fresh, target) for target in ("head", "head", HEAD)] == [HEAD] * 3


def test_steps_go_forward_and_back(fresh: Settings) -> None:
    assert [move(fresh, target) for target in ("+1", "-1", "+1")] == ["0001", None, "0001"]


def test_migrators_that_start_at_once_take_turns(fresh: Settings) -> None:
    code = (
        "import os, psycopg\n"
        "from migrations import schema\n"
        "print(schema.move(lambda: psycopg.connect(os.environ['CONNINFO']), 'head'))"
    )
    environment = {**os.environ, "PYTHONPATH": str(LAYER), "CONNINFO": psycopg.conninfo.make_conninfo(**address(fresh))}
    migrators = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=PIPE, stderr=PIPE, text=True)
        for _ in range(3)
    ]
    results = [(*migrator.communicate(timeout=60), migrator.returncode) for migrator in migrators]
    assert results == [(f"{HEAD}\n", "", 0)] * 3


@pytest.mark.parametrize("target", ["9999", "no-such-thing"])
def test_an_unknown_revision_is_an_error_that_names_it(fresh: Settings, target: str) -> None:
    with pytest.raises(schema.SchemaError, match=target):
        move(fresh, target)


def test_a_database_of_a_newer_release_is_left_alone(fresh: Settings) -> None:
    move(fresh, "head")
    with postgres(fresh) as conn:
        conn.execute("UPDATE alembic_version SET version_num = '7777'")
    with pytest.raises(schema.SchemaError, match="newer release"):
        move(fresh, "head")


def test_a_table_in_use_is_not_waited_for_for_ever(fresh: Settings) -> None:
    move(fresh, "head")
    with postgres(fresh) as reader:
        reader.execute("SELECT 1 FROM users")
        with pytest.raises(schema.SchemaError, match="lock timeout"):
            move(fresh, "base")


def test_the_sql_can_be_read_without_a_database() -> None:
    done = alembic(PROJECT / "infra/migrations", "upgrade", "head", "--sql")
    assert "CREATE TABLE tasks" in done.stdout


def test_alembic_alone_changes_no_database() -> None:
    done = alembic(PROJECT / "infra/migrations", "upgrade", "head", accept=1)
    assert "facet migrate" in done.stderr


def test_a_new_revision_follows_the_last_one(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(PROJECT / "infra/migrations", tmp_path / "migrations"))
    alembic(folder, "revision", "--message", "Add webhooks", "--rev-id", "9999")
    written = folder / "python/migrations/versions/9999_add_webhooks.py"
    assert f'down_revision: str | None = "{HEAD}"' in written.read_text().replace("'", '"')
    checked = subprocess.run([sys.executable, "-m", "ruff", "check", str(written)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    assert "'9999'" in alembic(folder, "upgrade", f"{HEAD}:head", "--sql").stdout


def alembic(folder: Path, *arguments: str, accept: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "alembic", "-c", str(folder / "alembic.ini"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == accept, done.stderr
    return done


# ---- What the schema refuses ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("table", "row"),
    [
        ("users", USER),
        ("api_keys", API_KEY),
        ("api_keys", {**API_KEY, "user_id": 1}),
        ("refresh_tokens", TOKEN),
        ("media_objects", MEDIA),
        ("outbox", OUTBOX),
        *[("tasks", {**TASK, **state}) for state in (INITIAL, PENDING, IN_PROGRESS, INVALID_INPUT, FAILED, CANCELLED)],
        ("tasks", {**TASK, **SUCCESS, "skin_color_hex": "#ba997a", "vertices": 468, "triangles": 898}),
        ("tasks", {**TASK, "client_type": "EXTERNAL_INTEGRATION", "user_id": None, "api_key_id": 1}),
        ("tasks", {**TASK, "client_type": "EXTERNAL_INTEGRATION", "user_id": None}),
        ("tasks", {**TASK, **SANDBOX}),
        ("uploads", UPLOAD),
        ("uploads", {**UPLOAD, "user_id": None, "sha256": HASH}),
        ("idempotency_keys", IDEMPOTENCY),
        ("idempotency_keys", {**IDEMPOTENCY, "key": "k1", "operation": "retry_task"}),
        ("idempotency_keys", {**IDEMPOTENCY, "key": "k1", "api_key_id": 1}),
    ],
)
def test_a_legal_row_is_accepted(conn: Connection, table: str, row: Row) -> None:
    insert(conn, table, row)


@pytest.mark.parametrize(("rule", "table", "row"), REFUSED)
def test_an_illegal_row_is_refused(conn: Connection, rule: str, table: str, row: Row) -> None:
    if rule == "tasks_request_uuid_key":
        insert(conn, table, {**row, "id": 5})
    with pytest.raises(psycopg.IntegrityError) as refusal:
        insert(conn, table, row)
    assert refusal.value.diag.constraint_name == rule


@pytest.mark.parametrize(("rule", "before", "change"), FORBIDDEN)
def test_a_task_cannot_change_against_the_rules(conn: Connection, rule: str, before: Row, change: Row) -> None:
    conn.execute("DELETE FROM tasks")
    insert(conn, "tasks", {**TASK, **before})
    with pytest.raises(psycopg.errors.CheckViolation) as refusal:
        update(conn, "tasks", change)
    assert (refusal.value.diag.constraint_name, refusal.value.diag.table_name) == (rule, "tasks")
    assert rule in str(refusal.value)


@pytest.mark.parametrize(("before", "change"), ALLOWED)
def test_a_task_can_move_forward(conn: Connection, before: Row, change: Row) -> None:
    conn.execute("DELETE FROM tasks")
    insert(conn, "tasks", {**TASK, **before})
    update(conn, "tasks", {"revision": 2, **change})


def test_every_rule_of_the_schema_is_tested(conn: Connection) -> None:
    checks = conn.execute(
        "SELECT conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype = 'c'"
    )
    body = conn.execute("SELECT prosrc FROM pg_proc WHERE proname = 'tasks_guard'").fetchone()
    assert body is not None
    changes = {part.split("'")[1] for part in body[0].split("rule := ")[1:]}
    assert {name for (name,) in checks} <= {rule for rule, _, _ in REFUSED}
    assert changes == {rule for rule, _, _ in FORBIDDEN}


def test_a_user_who_still_has_tasks_cannot_be_deleted(conn: Connection) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        conn.execute("DELETE FROM users WHERE id = 1")


def test_keys_and_refresh_tokens_go_with_their_user(conn: Connection) -> None:
    conn.execute("DELETE FROM tasks")
    update(conn, "api_keys", {"user_id": 1})
    conn.execute("DELETE FROM users WHERE id = 1")
    for table in ("api_keys", "refresh_families", "refresh_tokens"):
        assert conn.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone() == (0,)


def test_an_object_is_to_be_deleted_when_its_row_is(conn: Connection) -> None:
    conn.execute("DELETE FROM media_objects WHERE object_key = 'model'")
    assert conn.execute("SELECT bucket, object_key, due_at <= now() FROM object_deletions").fetchall() == [
        ("input-images", "model", True)
    ]


def test_a_deletion_noted_for_later_comes_at_once_when_its_row_goes(conn: Connection) -> None:
    insert(conn, "object_deletions", {"bucket": "input-images", "object_key": "model", "due_at": "2999-01-01"})
    conn.execute("DELETE FROM media_objects WHERE object_key = 'model'")
    assert conn.execute("SELECT due_at <= now() FROM object_deletions").fetchall() == [(True,)]


def test_two_keys_nobody_owns_are_one(conn: Connection) -> None:
    nobodys = {**IDEMPOTENCY, "user_id": None}
    insert(conn, "idempotency_keys", nobodys)
    with pytest.raises(psycopg.errors.UniqueViolation):
        insert(conn, "idempotency_keys", nobodys)


def test_an_announcement_goes_with_its_task(conn: Connection) -> None:
    conn.execute("DELETE FROM tasks")
    assert conn.execute("SELECT count(*) FROM outbox").fetchone() == (0,)


# ---- What keeps it fast and readable --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("index", "query"),
    [
        ("users_email_key", "SELECT 1 FROM users WHERE lower(email) = lower('A@b.c')"),
        ("refresh_tokens_token_hash_key", "SELECT 1 FROM refresh_tokens WHERE token_hash = '\\x00'"),
        ("refresh_families_by_user", "UPDATE refresh_families SET revoked_at = now() WHERE user_id = 1"),
        ("refresh_families_by_expiry", "DELETE FROM refresh_families WHERE expires_at < now()"),
        ("api_keys_secret_hash_key", "SELECT 1 FROM api_keys WHERE secret_hash = '\\x00'"),
        ("api_keys_by_user", "SELECT 1 FROM api_keys WHERE user_id = 1 ORDER BY id"),
        ("tasks_request_uuid_key", "SELECT 1 FROM tasks WHERE request_uuid = gen_random_uuid()"),
        ("tasks_by_user", "SELECT 1 FROM tasks WHERE user_id = 1 AND id > 5 ORDER BY id LIMIT 10"),
        ("tasks_by_api_key", "SELECT 1 FROM tasks WHERE api_key_id = 1 AND id > 5 ORDER BY id LIMIT 10"),
        ("tasks_open", "SELECT 1 FROM tasks WHERE status = 'IN_PROGRESS' AND last_message_at < now()"),
        ("tasks_open", "SELECT 1 FROM tasks WHERE status = 'PENDING' AND id < 5"),
        ("tasks_sandbox_due", "SELECT 1 FROM tasks WHERE finished_at IS NULL AND sandbox_due_at < now()"),
        ("tasks_finished", "SELECT 1 FROM tasks WHERE finished_at < now()"),
        ("object_deletions_due", "SELECT 1 FROM object_deletions WHERE due_at < now() ORDER BY due_at LIMIT 9"),
        ("uploads_by_expiry", "DELETE FROM uploads WHERE expires_at < now()"),
        ("idempotency_keys_by_age", "DELETE FROM idempotency_keys WHERE created_at < now()"),
        ("rate_limits_by_end", "DELETE FROM rate_limits WHERE ends_at < now()"),
        ("erased_tasks_by_age", "DELETE FROM erased_tasks WHERE erased_at < now()"),
        ("outbox_unsent", "SELECT 1 FROM outbox WHERE published_at IS NULL ORDER BY failures, created_at, id LIMIT 9"),
        ("media_objects_address_key", "SELECT 1 FROM media_objects WHERE bucket = 'b' AND object_key = 'k'"),
    ],
)
def test_a_frequent_query_finds_its_index(conn: Connection, index: str, query: LiteralString) -> None:
    conn.execute("SET LOCAL enable_seqscan = off")
    conn.execute("SET LOCAL enable_sort = off")
    plan = "\n".join(line for (line,) in conn.execute(f"EXPLAIN {query}"))
    assert index in plan


def test_every_reference_can_be_followed_back_by_an_index(conn: Connection) -> None:
    bare = conn.execute(
        """
        SELECT conrelid::regclass, conname FROM pg_constraint
        WHERE contype = 'f' AND connamespace = 'public'::regnamespace AND NOT EXISTS (
            SELECT FROM pg_index WHERE indrelid = conrelid AND indpred IS NULL AND indkey[0] = conkey[1]
        )
        """
    ).fetchall()
    assert bare == []


def test_every_table_says_what_it_is_for(conn: Connection) -> None:
    silent = conn.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        " AND relname <> 'alembic_version' AND obj_description(oid) IS NULL"
    ).fetchall()
    assert silent == []


def test_the_package_of_revisions_can_be_deployed_as_a_layer() -> None:
    package = importlib.import_module("migrations")
    assert package.__file__ is not None
    assert Path(package.__file__).parent.parent.name == "python"
