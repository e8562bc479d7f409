"""The project's `.env`: what may stand in it, how it is read, and how a new one with fresh secrets is written."""

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream


class EnvironmentExists(Exception):
    """There is an `.env` already; a new one would lock its owner out of the existing data."""


class EnvironmentUnreadable(Exception):
    """A line of `.env` is not NAME=value."""


@dataclass(frozen=True)
class Setting:
    """A new `.env` gets `secret` random bytes for it, and its default if `written`; others stay commented out."""

    name: str
    about: str
    default: str = ""
    secret: int = 0
    written: bool = False


GROUPS: dict[str, tuple[Setting, ...]] = {
    "Tokens and the API": (
        Setting("SECRET_KEY", "Signs access tokens; at least 32 characters.", secret=32),
        Setting("REFRESH_SECRET_KEY", "Derives refresh tokens; at least 32 characters.", secret=32),
        Setting("HASH_ALGORITHM", "Of the access tokens: HS256, HS384 or HS512.", "HS256"),
        Setting("ACCESS_TOKEN_EXPIRE_MINUTES", "How long an access token is good for.", "15"),
        Setting("REFRESH_TOKEN_EXPIRE_MINUTES", "How long a sign-in lasts at most (30 days).", "43200"),
        Setting("INTEGRATIONS_AUTH", "Whether outside systems need an API key: required, optional or off.", "required"),
        Setting("PATH_PREFIX", "Base path of the API.", "/api/v1"),
        Setting(
            "CORS_ORIGINS",
            "Origins whose pages may call, with credentials, separated by commas; * for any, without credentials.",
            "http://localhost:5173",
        ),
        Setting("LOG_LEVEL", "DEBUG, INFO, WARNING or ERROR.", "INFO"),
        Setting("APP_HOST", "Address on which `facet up` listens.", "127.0.0.1"),
        Setting("APP_PORT", "Port on which `facet up` listens.", "8080"),
        Setting(
            "SCHEDULE_FLOOR_SECONDS", "How often rate(1 minute) runs under `facet up`; a cloud's floor is 60.", "5"
        ),
        Setting(
            "FACET_RECORDS",
            "Whether `facet up` keeps the last invocations, with all they were given: on or off; off with --only.",
        ),
        Setting("EDGE_PORT", "Port on which AWS's own clients reach functions and S3.", "4566"),
        Setting(
            "ASYNC_RETRY_SECONDS", "After how long a failed event is repeated, and after twice as long; AWS: 60.", "2"
        ),
        Setting("APP_ALLOWED_HOSTS", "Host names it answers to, beside *.localhost, separated by commas.", "localhost"),
    ),
    "Limits and clean-up": (
        Setting("LIMIT_REGISTRATIONS_PER_ADDRESS", "Registrations per address: REQUESTS/SECONDS, or off.", "60/3600"),
        Setting("LIMIT_SIGN_INS_PER_ADDRESS", "Sign-ins per address.", "120/60"),
        Setting("LIMIT_SIGN_INS_PER_ACCOUNT", "Sign-ins and password changes per account.", "10/60"),
        Setting("LIMIT_CREATES_PER_OWNER", "Tasks made or retried per owner.", "30/60"),
        Setting("LIMIT_UPLOADS_PER_OWNER", "Uploads begun per owner.", "60/60"),
        Setting("LIMIT_TASKS_IN_FLIGHT", "Open tasks an owner may have at once; 0 for any number.", "20"),
        Setting(
            "LONG_POLL_WAITERS",
            "Requests with Prefer: wait that are held at once; further ones are answered at once.",
            "8",
        ),
        Setting("TRUSTED_PROXIES", "Networks whose X-Forwarded-For is believed, separated by commas."),
        Setting("AGENT_SILENCE_MINUTES", "How long an agent may be silent before its task is given to another.", "15"),
        Setting("TASK_DEADLINE_HOURS", "How long a task may be open before it fails.", "72"),
        Setting(
            "RETENTION_DAYS", "Finished tasks, photos and avatars are deleted after so many days; 0 keeps them.", "0"
        ),
    ),
    "PostgreSQL: one is run on a free port unless POSTGRES_HOST names yours": (
        Setting("POSTGRES_HOST", "Host of a server of yours."),
        Setting("POSTGRES_PORT", "Its port.", "5432"),
        Setting("POSTGRES_USER", "Role of the application.", "facet", written=True),
        Setting("POSTGRES_PASSWORD", "Its password.", secret=24),
        Setting("POSTGRES_DB", "Database of the application.", "facet", written=True),
        Setting("POSTGRES_SSLMODE", "disable, allow, prefer, require, verify-ca or verify-full.", "prefer"),
    ),
    "RabbitMQ: one is run on free ports unless RABBITMQ_HOST names yours": (
        Setting("RABBITMQ_HOST", "Host of a broker of yours."),
        Setting("RABBITMQ_PORT", "Its AMQP port.", "5672"),
        Setting("RABBITMQ_USER", "User of the application.", "facet", written=True),
        Setting("RABBITMQ_PASSWORD", "Its password.", secret=24),
        Setting("RABBITMQ_VHOST", "Virtual host.", "/"),
        Setting(
            "RABBITMQ_MANAGEMENT_URL",
            "Its management API, http://host:port: `migrate` then lets no dead letter be lost; classic queues need it.",
        ),
        Setting("RABBITMQ_TASKS_QUEUE", "Queue of tasks for the agents.", "generation_tasks"),
        Setting("RABBITMQ_TASKS_RESULTS_QUEUE", "Queue of their progress and results.", "generation_task_results"),
        Setting("RABBITMQ_QUEUE_TYPE", "quorum, or classic for agents that declare plain durable queues.", "quorum"),
    ),
    "S3 storage: one is run on a free port unless MINIO_HOST names yours": (
        Setting("MINIO_HOST", "http://host:port of a server of yours, as functions and agents reach it."),
        Setting("MINIO_PUBLIC_URL", "The same server as clients reach it, if that is another address."),
        Setting("MINIO_ACCESS_KEY", "Access key of the application.", secret=10),
        Setting("MINIO_SECRET_KEY", "Its secret key.", secret=20),
        Setting("MINIO_REGION", "Region requests are signed for.", "us-east-1"),
        Setting("MINIO_IMAGES_BUCKET", "Bucket of photos.", "input-images"),
        Setting("MINIO_3D_FILES_BUCKET", "Bucket of avatars.", "3d-files"),
        Setting("MINIO_DECA_EMOTIONS_BUCKET", "Bucket of emotion files every task refers to.", "deca-emotions"),
    ),
    "ML agent: its own accounts with fewer rights": (
        Setting(
            "AGENT_RABBITMQ_USER", "User of the agents: the two queues, nothing else.", "facet-agent", written=True
        ),
        Setting("AGENT_RABBITMQ_PASSWORD", "Its password.", secret=24),
        Setting("AGENT_MINIO_ACCESS_KEY", "Access key of the agents: the bucket of avatars, nothing else.", secret=10),
        Setting("AGENT_MINIO_SECRET_KEY", "Its secret key.", secret=20),
    ),
    "Containers only (`make deploy`)": (
        Setting("FACET_VERSION", "Tag of the image.", "latest"),
        Setting("FACET_DOMAIN", "Public name of the API: HTTPS with a certificate that is fetched and renewed."),
        Setting("FACET_STORAGE_DOMAIN", "Public name of the S3 storage, as presigned URLs carry it."),
        Setting("APP_PUBLISH", "Address and port of the API over HTTP; with FACET_DOMAIN: 80.", "127.0.0.1:8080"),
        Setting("APP_TLS_PUBLISH", "Address and port of HTTPS; with FACET_DOMAIN: 443.", "127.0.0.1:8443"),
        Setting("MINIO_PUBLISH", "Address and port of the S3 storage while it has no name.", "127.0.0.1:9000"),
        Setting(
            "PROXY_OPTIONS", "A global option of Caddy, such as local_certs where no authority reaches the machine."
        ),
        Setting(
            "PROXY_TRUSTS",
            "Your own balancer before the proxy: its networks, separated by spaces; name them in TRUSTED_PROXIES too.",
            "127.0.0.1/32",
        ),
        Setting(
            "EDGE_SUBNET", "Free addresses for the network between the proxy and what it serves.", "172.30.250.0/24"
        ),
        Setting("COMPOSE_PROFILES", "backup: one every day."),
        Setting("BACKUP_FOLDER", "Where backups go; a relative one is below this folder.", "./backups"),
        Setting("BACKUP_USER", "USER:GROUP, by number, that owns them.", "1000:1000"),
        Setting("BACKUP_TIME", "When, in UTC.", "02:30"),
        Setting("BACKUP_KEEP", "How many are kept.", "14"),
    ),
}
SETTINGS = tuple(setting for group in GROUPS.values() for setting in group)
SERVICES = ("POSTGRES_", "RABBITMQ_", "MINIO_", "AGENT_")
SHELL = frozenset("HOME HOSTNAME LANG LOGNAME MAIL PATH PWD SHELL TERM TMPDIR TZ USER".split())
_PLACEHOLDER = re.compile(r"change.?me|placeholder|example|your[-_ ]|^secret|^password|^todo|^<.*>$|^(.)\1*$", re.I)
_LONG, _LENGTH = ("SECRET_KEY", "REFRESH_SECRET_KEY"), 32
DEFAULTS = {setting.name: setting.default for setting in SETTINGS if setting.default}


def path(project: Path) -> Path:
    """The project's `.env`, or the file FACET_ENV_FILE names."""
    return Path(os.environ.get("FACET_ENV_FILE") or project / ".env")


def load(project: Path) -> dict[str, str]:
    """What the project's `.env` sets; nothing where there is none. Raises EnvironmentUnreadable."""
    return read(path(project))


def effective(project: Path, names: Iterable[str] = ()) -> dict[str, str]:
    """What holds: `.env`, overruled by the settings and these other names in this process's environment.

    Raises EnvironmentUnreadable.
    """
    return {**read(kept(project)), **load(project), **overruling(names)}


def overruling(names: Iterable[str] = ()) -> dict[str, str]:
    """The settings, and those of these names that are not the shell's own, in this process's environment."""
    known = {setting.name for setting in SETTINGS} | (set(names) - SHELL)
    return {name: os.environ[name] for name in sorted(known) if os.environ.get(name)}


def kept(project: Path) -> Path:
    """The secrets of services that run for a project whose `.env` is its own affair."""
    return Path(os.environ.get("FACET_STATE") or project / ".facet") / "secrets.env"


def keep(project: Path) -> None:
    """Make them if there are none: what PostgreSQL, RabbitMQ and the S3 server let their users in by."""
    made = "".join(
        f"{setting.name}={secrets.token_hex(setting.secret)}\n"
        for setting in SETTINGS
        if setting.secret and setting.name.startswith(SERVICES)
    )
    with contextlib.suppress(FileExistsError), open(kept(project), "x", opener=_private) as output:
        output.write(made)


def read(file: Path) -> dict[str, str]:
    """The file's settings, with quotes, comments and ${NAME} as docker compose takes them; empty ones are left out."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except OSError as exc:
        raise EnvironmentUnreadable(
            f"{file} cannot be read: {exc.strerror}; next: make it a file that you may read"
        ) from exc
    except UnicodeDecodeError:
        raise EnvironmentUnreadable(
            f"{file} is not UTF-8 text; next: correct it, or move it away and run `make env`"
        ) from None
    if bad := next((line for line in parse_stream(StringIO(text)) if line.error), None):
        raise EnvironmentUnreadable(
            f"{file}, line {bad.original.line}, is not NAME=value; next: correct it (compare .env.example)"
        )
    return {name: value for name, value in dotenv_values(stream=StringIO(text)).items() if value}


def concerns(project: Path) -> list[tuple[str, str]]:
    """What is doubtful about the project's `.env`, and what to do about it. Raises EnvironmentUnreadable."""
    file, found = path(project), []
    if file.exists() and stat.S_IMODE(file.stat().st_mode) & 0o077:
        found.append((f"{file} can be read by others", f"It holds secrets: chmod 600 {file}"))
    given = {
        setting.name: value for setting in SETTINGS if setting.secret and (value := load(project).get(setting.name))
    }
    if made_up := [name for name, value in given.items() if _PLACEHOLDER.search(value)]:
        advice = "Give each a value of its own: openssl rand -hex 32"
        found.append((f"{', '.join(made_up)} in {file}: that is a placeholder, no secret", advice))
    if short := [name for name in _LONG if len(given.get(name, "x" * _LENGTH)) < _LENGTH]:
        found.append((f"{', '.join(short)} in {file}: shorter than {_LENGTH} characters", "openssl rand -hex 32"))
    return found


def create(project: Path) -> Path:
    """Write a new `.env` with fresh secrets, for its owner's eyes only; raises EnvironmentExists."""
    file = path(project)
    try:
        with open(file, "x", encoding="utf-8", opener=_private) as output:
            output.write(render(with_secrets=True))
    except FileExistsError:
        raise EnvironmentExists(
            f"{file} exists and was left alone: its secrets open the data there is; move it away to have a new one"
        ) from None
    return file


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def render(*, with_secrets: bool) -> str:
    """The text of `.env.example` or of a new `.env`."""
    parts = ["# Settings of Facet. `make env` writes this file as .env with fresh secrets.\n"]
    for title, settings in GROUPS.items():
        parts.append(f"\n# ---- {title}\n")
        parts += [f"# {setting.about}\n{_line(setting, with_secrets)}\n" for setting in settings]
    return "".join(parts)


def _line(setting: Setting, with_secrets: bool) -> str:
    if setting.secret:
        return f"{setting.name}={secrets.token_hex(setting.secret) if with_secrets else ''}"
    return f"{'' if setting.written else '#'}{setting.name}={setting.default}"
