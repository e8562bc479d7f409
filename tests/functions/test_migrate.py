"""The function `migrate`: everything a release needs, made once, however often it is asked for."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE
from typing import Any
from unittest.mock import patch

import pytest

from facet import broker, db, objects
from facet.problems import Invalid
from facet.settings import settings
from functions.migrate import handler
from tests.conftest import Settings
from tests.servers import empty_database, management

PROJECT = Path(__file__).parents[2]
PYTHONPATH = os.pathsep.join(str(PROJECT / each) for each in (".", "layers/facet/python", "infra/migrations/python"))


@pytest.fixture
def untouched(environment: Settings, worker: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings of a database, a virtual host and buckets in which nothing has been done yet."""
    name = f"{worker}-untouched"
    names = {"POSTGRES_DB": name, "RABBITMQ_VHOST": name}
    names |= {setting: f"{name}-{kind}" for setting, kind in BUCKETS.items()}
    use(names, monkeypatch)
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    with empty_database(environment, name), management(environment) as http:
        http.put(f"/vhosts/{name}").raise_for_status()
        http.put(f"/permissions/{name}/{environment['RABBITMQ_USER']}", json=everything).raise_for_status()
        yield {**environment, **names}
        use({}, monkeypatch)
        http.delete(f"/vhosts/{name}").raise_for_status()


BUCKETS = {
    "MINIO_IMAGES_BUCKET": "images",
    "MINIO_3D_FILES_BUCKET": "models",
    "MINIO_DECA_EMOTIONS_BUCKET": "emotions",
}
QUEUES = ["generation_tasks", "generation_task_results", "generation_tasks.dead", "generation_task_results.dead"]


def use(values: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    db.close()
    broker.close()
    if objects._client.cache_info().currsize:
        objects._client().close()
        objects._client.cache_clear()


def migrate(**event: str) -> dict[str, Any]:
    result = handler.app(event, None)
    assert isinstance(result, dict)
    return json.loads(json.dumps(result))  # type: ignore[no-any-return]  # what an invoker would hand on


def test_an_untouched_environment_gets_everything(untouched: Settings) -> None:
    result = migrate()
    buckets = [untouched[name] for name in BUCKETS]
    assert result == {
        "schema": "0002",
        "buckets": buckets,
        "queues": QUEUES,
        "policies": ["facet-generation_tasks", "facet-generation_task_results"],
        "notes": [],
    }
    assert [objects.list_keys(bucket) for bucket in buckets] == [[], [], []]
    assert [broker.depth(queue) for queue in QUEUES] == [0, 0, 0, 0]
    with db.transaction() as conn:
        assert conn.execute("SELECT * FROM tasks").fetchall() == []


def test_repeating_it_changes_nothing_and_loses_nothing(environment: Settings) -> None:
    first = migrate()
    objects.put(environment["MINIO_IMAGES_BUCKET"], "kept", b"photo", content_type="image/png")
    broker.publish(queue="generation_tasks", body=b"{}", message_id="kept")
    with db.transaction() as conn:
        conn.execute("INSERT INTO users (name, email, password_hash) VALUES ('Ada', 'ada@example.com', 'x')")
    assert migrate() == first
    assert objects.read(environment["MINIO_IMAGES_BUCKET"], "kept", limit=10) == b"photo"
    assert broker.depth("generation_tasks") == 1
    with db.transaction() as conn:
        assert conn.execute("SELECT name FROM users").fetchall() == [{"name": "Ada"}]


def test_two_at_once_are_as_good_as_one(untouched: Settings) -> None:
    code = "import json; from functions.migrate import handler; print(json.dumps(handler.app({}, None)))"
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH}
    migrators = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, cwd=PROJECT, stdout=PIPE, stderr=PIPE)
        for _ in range(2)
    ]
    for migrator in migrators:
        output, errors = migrator.communicate(timeout=60)
        assert migrator.returncode == 0, errors.decode()
        assert json.loads(output)["schema"] == "0002"


def test_the_schema_can_be_taken_back(untouched: Settings) -> None:
    assert [migrate(revision=each)["schema"] for each in ("head", "base", "0001", "-1")] == ["0002", None, "0001", None]


@pytest.mark.parametrize(
    ("part", "setting", "address"),
    [
        ("schema", "POSTGRES_PORT", "1"),
        ("buckets", "MINIO_HOST", "http://127.0.0.1:1"),
        ("queues", "RABBITMQ_PORT", "1"),
        ("policies", "RABBITMQ_MANAGEMENT_URL", "http://127.0.0.1:1"),
    ],
)
def test_a_service_that_is_down_is_named_with_what_to_check(
    environment: Settings, monkeypatch: pytest.MonkeyPatch, part: str, setting: str, address: str
) -> None:
    use({setting: address}, monkeypatch)
    with pytest.raises(handler.MigrationFailed) as failure:
        migrate()
    assert re.match(rf"{part}: .+ cannot be reached.+Check .*{setting}", str(failure.value))
    use({setting: environment[setting]}, monkeypatch)
    assert migrate()["schema"] == "0002"


def test_no_secret_is_in_a_failure(environment: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POSTGRES_PASSWORD", "RABBITMQ_PASSWORD"):
        with monkeypatch.context() as changed:
            use({name: "wrong-and-secret"}, changed)
            with pytest.raises(handler.MigrationFailed) as failure:
                migrate()
        assert "wrong-and-secret" not in str(failure.value)
    use({}, monkeypatch)


def test_an_unknown_revision_is_named(environment: Settings) -> None:
    with pytest.raises(handler.MigrationFailed, match=r"schema: .*9999"):
        migrate(revision="9999")


def test_an_unknown_option_is_refused(environment: Settings) -> None:
    with pytest.raises(Invalid, match="drop"):
        migrate(drop="all")


def test_a_storage_without_cors_per_bucket_is_a_note(environment: Settings) -> None:
    with patch.object(objects, "allow_origins", return_value=False):
        [note] = migrate()["notes"]
    assert "http://localhost:5173" in note


def test_urls_that_end_with_a_roles_session_are_a_note(environment: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIO_SESSION_TOKEN", "of-the-role")
    settings.cache_clear()
    with patch.object(objects, "ensure_bucket"), patch.object(objects, "allow_origins", return_value=True):
        [note] = migrate()["notes"]
        assert "MINIO_SIGNING_ACCESS_KEY" in note
        monkeypatch.setenv("MINIO_SIGNING_ACCESS_KEY", "signer")
        settings.cache_clear()
        assert migrate()["notes"] == []


def test_missing_policies_are_a_note(environment: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RABBITMQ_MANAGEMENT_URL")
    use({}, monkeypatch)
    result = migrate()
    assert result["policies"] == []
    assert "RABBITMQ_MANAGEMENT_URL" in result["notes"][0]


def test_queues_of_another_form_are_named(untouched: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate()
    use({"RABBITMQ_QUEUE_TYPE": "classic"}, monkeypatch)
    with pytest.raises(handler.MigrationFailed, match='queues: The queue "generation_tasks" exists in another form'):
        migrate()


def test_it_has_no_address() -> None:
    assert handler.app.endpoints == []
