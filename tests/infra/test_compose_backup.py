"""Backups: made of real servers while they work, verifiable, and put back into an empty stack."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import boto3
import httpx
import pytest
from botocore.config import Config

from facet import broker, db
from infra.compose import backup, folder, restore, servers
from infra.compose.folder import BackupFailed
from infra.compose.storage import CONTENTS, index
from local import deploy
from local.testing import Local
from local.testing.services import management
from tests import media
from tests.conftest import PROJECT, Settings
from tests.functions import api
from tests.servers import postgres

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

PHOTO, MODEL = media.photo(), media.model()
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Stack:
    """The servers of a worker, which a test may empty as a new machine is empty."""

    at: Settings
    s3: "S3Client"

    @property
    def root(self) -> Path:
        return Path(self.at["BACKUP_ROOT"])

    def keys(self) -> dict[str, list[str]]:
        buckets = [self.at[f"MINIO_{kind}_BUCKET"] for kind in ("IMAGES", "3D_FILES", "DECA_EMOTIONS")]
        listed = {bucket: self.s3.list_objects_v2(Bucket=bucket).get("Contents", []) for bucket in buckets}
        return {bucket: [each["Key"] for each in found] for bucket, found in listed.items()}

    def lose_objects(self) -> None:
        for bucket, keys in self.keys().items():
            for key in keys:
                self.s3.delete_object(Bucket=bucket, Key=key)

    def lose_everything(self) -> None:
        """Buckets, queues and tables too."""
        db.close()
        broker.close()
        self.lose_objects()
        for bucket in self.keys():
            self.s3.delete_bucket(Bucket=bucket)
        with postgres(self.at) as conn:
            conn.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        vhost = quote(self.at["RABBITMQ_VHOST"], safe="")
        with management(self.at) as http:
            for queue in http.get(f"/queues/{vhost}").json():
                http.delete(f"/queues/{vhost}/{quote(queue['name'], safe='')}").raise_for_status()

    def queues(self) -> set[str]:
        with management(self.at) as http:
            return {queue["name"] for queue in http.get(f"/queues/{quote(self.at['RABBITMQ_VHOST'], safe='')}").json()}

    def backup(self) -> Path:
        return backup.make(self.at, self.root)

    def restore(self, name: str, *options: str) -> subprocess.CompletedProcess[str]:
        """As `make restore` does in the container."""
        command = [sys.executable, "-m", "infra.compose.restore", name, *options]
        environment = {"PATH": os.environ["PATH"], **self.at}
        return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def stack(clean: Settings, project: Local, tmp_path: Path) -> Iterator[Stack]:
    api.local = project
    client: S3Client = boto3.client(
        "s3",
        endpoint_url=clean["MINIO_HOST"],
        aws_access_key_id=clean["MINIO_ACCESS_KEY"],
        aws_secret_access_key=clean["MINIO_SECRET_KEY"],
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
    made = Stack({**clean, "BACKUP_ROOT": str(tmp_path / "backups")}, client)
    made.lose_objects()
    yield made
    db.close()
    broker.close()
    project.invoke("migrate")


def finished_task() -> tuple[api.Person, str]:
    person = api.person()
    request_uuid = api.create(person.headers, PHOTO).json()["request_uuid"]
    api.finish(request_uuid, MODEL)
    return person, request_uuid


def files(person: api.Person, request_uuid: str) -> dict[str, bytes]:
    listed = api.task(person.headers, request_uuid)["files"]
    return {each["name"]: httpx.get(each["url"], trust_env=False).content for each in listed}


def test_a_lost_machine_comes_back_with_its_people_tasks_photos_and_models(stack: Stack, project: Local) -> None:
    person, request_uuid = finished_task()
    before, keys, queues = files(person, request_uuid), stack.keys(), stack.queues()
    assert before["model.glb"] == MODEL
    made = stack.backup()
    stack.lose_everything()
    done = stack.restore(made.name)
    assert done.returncode == 0, done.stderr
    assert stack.queues() == queues
    assert (
        project.invoke("migrate").json()["schema"]
        == json.loads((made / "manifest.json").read_text())["database"]["revision"]
    )
    assert stack.keys() == keys
    assert api.sign_in(person.email).status == 200
    assert files(person, request_uuid) == before


def test_what_is_restored_can_be_backed_up_and_restored_again(stack: Stack) -> None:
    finished_task()
    first = stack.backup()
    stack.lose_everything()
    assert stack.restore(first.name).returncode == 0
    again = stack.restore(stack.backup().name, "--force")
    assert again.returncode == 0, again.stderr


def test_a_stack_with_rows_or_objects_is_left_alone(stack: Stack) -> None:
    person, request_uuid = finished_task()
    made, before = stack.backup(), files(person, request_uuid)
    for options in ([], ["--check"]):
        done = stack.restore(made.name, *options)
        assert done.returncode == 1
        assert "The stack is not empty: " in done.stderr
        assert "FORCE=1" in done.stderr
    assert files(person, request_uuid) == before


def test_by_force_the_stack_is_as_the_backup_was(stack: Stack) -> None:
    person, request_uuid = finished_task()
    made, before, keys = stack.backup(), files(person, request_uuid), stack.keys()
    api.create(api.person("later@example.org").headers, PHOTO)
    stack.s3.put_object(Bucket=stack.at["MINIO_IMAGES_BUCKET"], Key="of nobody", Body=b"x")
    db.close()
    done = stack.restore(made.name, "--force")
    assert done.returncode == 0, done.stderr
    assert stack.keys() == keys
    assert files(person, request_uuid) == before
    assert api.sign_in("later@example.org").status == 400


@pytest.mark.parametrize("damage", ["content", "dump", "missing"])
def test_a_damaged_backup_is_named_before_anything_is_changed(stack: Stack, damage: str) -> None:
    finished_task()
    made = stack.backup()
    stack.lose_everything()
    content = next((made / CONTENTS).glob("*/*"))
    file = {"content": content, "dump": made / "database.dump", "missing": content}[damage]
    if damage == "missing":
        file.unlink()
    else:
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    done = stack.restore(made.name)
    assert done.returncode == 1
    assert file.name in done.stderr
    assert not stack.queues()


def test_the_checksums_are_those_that_sha256sum_reads(stack: Stack) -> None:
    finished_task()
    made = stack.backup()
    command = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    assert subprocess.run(command, cwd=made, check=False).returncode == 0
    listed = {line.partition("  ")[2] for line in (made / "SHA256SUMS").read_text().splitlines()}
    there = {str(each.relative_to(made)) for each in made.rglob("*") if each.is_file()}
    assert there - listed == {"SHA256SUMS"}


def test_nobody_else_can_read_a_backup_and_it_holds_no_password(stack: Stack) -> None:
    finished_task()
    made = stack.backup()
    assert {oct(each.stat().st_mode & 0o077) for each in [made, *made.rglob("*")]} == {"0o0"}
    secrets = [value.encode() for name, value in stack.at.items() if name.endswith(("PASSWORD", "SECRET_KEY"))]
    for file in (made / "broker.json", made / "manifest.json", made / "database.dump"):
        assert not [secret for secret in secrets if secret in file.read_bytes()]


def test_contents_that_a_former_backup_has_are_not_kept_twice(stack: Stack) -> None:
    finished_task()
    first = stack.backup()
    api.create(api.person("second@example.org").headers, PHOTO)
    second = stack.backup()
    old, new = [{entry["key"]: folder_content(each, entry) for entry in index(each)} for each in (first, second)]
    assert len(new) == len(old) + 1
    assert all(new[key].samefile(old[key]) for key in old)


def folder_content(made: Path, entry: dict[str, Any]) -> Path:
    name = str(entry["sha256"])
    return made / CONTENTS / name[:2] / name


def test_a_backup_that_fails_leaves_nothing_behind(stack: Stack) -> None:
    stack.backup()
    with pytest.raises(BackupFailed, match=r"object store.*docker compose ps minio"):
        backup.make({**stack.at, "MINIO_SECRET_KEY": "wrong"}, stack.root)
    assert [each.name for each in stack.root.iterdir() if each.name != ".lock"] == [folder.finished(stack.root)[0].name]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"POSTGRES_PORT": "9"}, "PostgreSQL"),
        ({"RABBITMQ_PASSWORD": "wrong"}, "RabbitMQ"),
        ({"RABBITMQ_MANAGEMENT_URL": "", "MINIO_HOST": ""}, "Not set: RABBITMQ_MANAGEMENT_URL, MINIO_HOST"),
        ({"BACKUP_ROOT": "/proc/backups"}, "BACKUP_USER"),
    ],
)
def test_a_failure_names_its_cause_and_shows_no_secret(stack: Stack, changed: dict[str, str], said: str) -> None:
    environment = {"PATH": os.environ["PATH"], **stack.at, **changed}
    command = [sys.executable, "-m", "infra.compose.backup"]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert stack.at["POSTGRES_PASSWORD"] not in done.stderr


def test_what_the_environment_leaves_out_is_as_the_template_has_it(stack: Stack) -> None:
    settings = {setting.name: setting.default for setting in deploy.read(PROJECT / "template.yaml").settings}
    assert {name: settings[name] for name in servers.DEFAULTS} == servers.DEFAULTS
    left_out = {name: value for name, value in stack.at.items() if name not in servers.DEFAULTS}
    assert servers.named_in({**left_out, "POSTGRES_PORT": ""}) == left_out | servers.DEFAULTS


def test_a_full_disk_is_a_failure_that_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="No space left on device"), folder.begun(tmp_path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert [each.name for each in tmp_path.iterdir()] == [".lock"]


def test_what_is_left_of_another_users_backup_is_a_failure_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unfinished").mkdir()
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)  # as with ignore_errors
    with pytest.raises(BackupFailed, match="File exists"), folder.begun(tmp_path):
        raise AssertionError("nothing can be begun")


@pytest.mark.parametrize("wrong", [{"BACKUP_TIME": "soon"}, {"BACKUP_KEEP": "all"}, {"BACKUP_KEEP": "0"}])
def test_a_plan_that_cannot_be_followed_is_told(wrong: dict[str, str], tmp_path: Path) -> None:
    (name,) = wrong
    with pytest.raises(BackupFailed, match=rf"{name} is '{wrong[name]}'.*\.env"):
        backup.daily(wrong, tmp_path)


def test_a_second_backup_at_the_same_time_is_refused(stack: Stack) -> None:
    with folder.begun(stack.root), pytest.raises(BackupFailed, match="under way"):
        stack.backup()


def test_a_backup_that_is_not_there_is_told_with_those_that_are(stack: Stack) -> None:
    made = stack.backup()
    done = stack.restore("20200101T000000Z")
    assert done.returncode == 1
    assert made.name in done.stderr


def test_every_day_one_is_made_and_the_oldest_goes(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(backup, "WORKS", tmp_path / "works")
    now = NOON
    monkeypatch.setattr(backup, "datetime", type("Clock", (datetime,), {"now": classmethod(lambda *_: now)}))
    days = iter(range(4))

    def sleep(seconds: float) -> None:
        nonlocal now
        if now.time() == time(2, 29) and next(days, None) is None:
            raise SystemExit
        now += timedelta(seconds=seconds)

    with pytest.raises(SystemExit):
        backup.daily({**stack.at, "BACKUP_TIME": "02:30", "BACKUP_KEEP": "2"}, stack.root, sleep=sleep)
    assert len(folder.finished(stack.root)) == 2
    assert (tmp_path / "works").exists()


def test_a_failed_daily_backup_is_unhealthy_and_tried_again(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(backup, "WORKS", tmp_path / "works")
    monkeypatch.setattr(backup, "following", lambda *_: datetime.now(UTC))
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        raise SystemExit

    with pytest.raises(SystemExit):
        backup.daily({**stack.at, "POSTGRES_PORT": "9"}, stack.root, sleep=sleep)
    assert waits == [60]
    assert not (tmp_path / "works").exists()
    assert "tried again in 15 minutes" in capsys.readouterr().out


class NotOurs:
    """The backup of somebody else among four, who lets it be seen, or not even that."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, *, closed: bool) -> None:
        self.folder, self.given_back = root / "20260101T000000Z", False
        for day in range(1, 5):
            made = root / f"2026010{day}T000000Z"
            made.mkdir()
            (made / folder.SUMS).touch()
        remove, is_file = shutil.rmtree, Path.is_file
        monkeypatch.setattr(shutil, "rmtree", lambda each, **how: remove(self.checked(each), **how))
        if closed:
            monkeypatch.setattr(Path, "is_file", lambda file: is_file(self.checked(file)))

    def checked(self, path: Path) -> Path:
        if self.folder in (path, path.parent) and not self.given_back:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return path


@pytest.mark.parametrize("closed", [False, True])
def test_a_backup_that_cannot_be_removed_is_told_when_the_others_are_gone(
    closed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = NotOurs(tmp_path, monkeypatch, closed=closed)
    gone: list[str] = []
    with pytest.raises(BackupFailed, match=rf"{other.folder} \(Permission denied\) cannot be removed.*BACKUP_USER"):
        gone.extend(each.name for each in folder.prune(tmp_path, 2))
    assert gone == ["20260102T000000Z"]
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("closed", [False, True])
def test_a_day_on_which_an_old_backup_stays_is_unhealthy_and_the_next_day_is_tried(
    closed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    works, root = tmp_path / "works", tmp_path / "backups"
    root.mkdir()
    other = NotOurs(root, monkeypatch, closed=closed)
    monkeypatch.setattr(backup, "WORKS", works)
    monkeypatch.setattr(backup, "make", lambda *_: root)
    now, healthy = NOON, list[bool]()
    monkeypatch.setattr(backup, "datetime", type("Clock", (datetime,), {"now": classmethod(lambda *_: now)}))

    def sleep(seconds: float) -> None:
        nonlocal now
        if now.time() == time(12):
            healthy.append(works.exists())
            if len(healthy) == 3:
                raise SystemExit
            other.given_back = len(healthy) == 2
        now += timedelta(seconds=seconds)

    with pytest.raises(SystemExit):
        backup.daily({"BACKUP_TIME": "02:30", "BACKUP_KEEP": "3"}, root, sleep=sleep)
    assert healthy == [True, False, True]
    told = capsys.readouterr().out
    assert told.count(f"an old backup stays: {other.folder} (Permission denied)") == 1
    assert len(folder.finished(root)) == 3


@pytest.mark.parametrize(
    ("when", "expected"), [(time(12, 1), NOON.replace(minute=1)), (time(12), NOON.replace(day=24))]
)
def test_the_next_one_is_due_today_or_tomorrow(when: time, expected: datetime) -> None:
    assert backup.following(NOON, when) == expected


def test_the_check_of_a_whole_backup_of_an_empty_stack_finds_nothing(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    made = stack.backup()
    restore.main([str(made), "--check"], stack.at)
    assert capsys.readouterr().out.endswith("files are as they were written\n")
