"""The environment a function runs in, read once and typed."""

import json
import os
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_network
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError


class SettingsError(Exception):
    """An environment variable is missing or cannot be used. Names variables, never values."""


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _networks(text: str) -> tuple[str, ...]:
    return tuple(str(ip_network(part, strict=False)) for part in _list(text))


def _url(text: str) -> str:
    return (text if "://" in text else f"http://{text}").rstrip("/")


class Rate(NamedTuple):
    """How many requests may come within how many seconds."""

    quota: int
    seconds: int


def _rate(text: str | Rate | None) -> Rate | None:
    if text is None or isinstance(text, Rate) or text.strip().lower() == "off":
        return None if isinstance(text, str) else text
    quota, slash, seconds = text.partition("/")
    if not (slash and quota.strip().isdecimal() and seconds.strip().isdecimal() and int(quota) and int(seconds)):
        raise ValueError("a rate is REQUESTS/SECONDS, such as 30/60, or off")
    return Rate(int(quota), int(seconds))


def _prefix(text: str) -> str:
    path = text.strip("/")
    return f"/{path}" if path else ""


# A value without a default need not be set for a function that does not use it: reading it raises SettingsError.
_needed: Any = Field(default=None)
_key: Any = Field(default=None, min_length=32)
_Port = Annotated[int, Field(ge=1, le=65535)]
_Minutes = Annotated[int, Field(ge=1)]
_Rate = Annotated[Rate | None, BeforeValidator(_rate)]
_Url = Annotated[str, BeforeValidator(_url)]
_Upper = BeforeValidator(str.upper)


class Settings(BaseModel):
    """One field per environment variable of the same name in capitals."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    postgres_host: str = _needed
    postgres_port: _Port = 5432
    postgres_user: str = _needed
    postgres_password: SecretStr = _needed
    postgres_db: str = _needed
    postgres_sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = "prefer"

    rabbitmq_host: str = _needed
    rabbitmq_port: _Port = 5672
    rabbitmq_user: str = _needed
    rabbitmq_password: SecretStr = _needed
    rabbitmq_vhost: str = "/"
    rabbitmq_management_url: _Url | None = None
    rabbitmq_tasks_queue: str = "generation_tasks"
    rabbitmq_tasks_results_queue: str = "generation_task_results"
    rabbitmq_queue_type: Literal["quorum", "classic"] = "quorum"

    minio_host: _Url = _needed
    minio_public_url: _Url = _needed
    minio_access_key: str = _needed
    minio_secret_key: SecretStr = _needed
    minio_session_token: SecretStr | None = None  # comes with the keys of an AWS role
    minio_signing_access_key: str | None = None  # signs presigned URLs in place of the other, which may be short-lived
    minio_signing_secret_key: SecretStr = _needed
    minio_region: str = "us-east-1"
    minio_images_bucket: str = "input-images"
    minio_3d_files_bucket: str = "3d-files"
    minio_deca_emotions_bucket: str = "deca-emotions"

    secret_key: SecretStr = _key
    refresh_secret_key: SecretStr = _key
    hash_algorithm: Annotated[Literal["HS256", "HS384", "HS512"], _Upper] = "HS256"
    access_token_expire_minutes: _Minutes = 15
    refresh_token_expire_minutes: _Minutes = 43200
    integrations_auth: Literal["required", "optional", "off"] = "required"

    limit_registrations_per_address: _Rate = Rate(60, 3600)
    limit_sign_ins_per_address: _Rate = Rate(120, 60)
    limit_sign_ins_per_account: _Rate = Rate(10, 60)
    limit_creates_per_owner: _Rate = Rate(30, 60)
    limit_uploads_per_owner: _Rate = Rate(60, 60)
    limit_tasks_in_flight: Annotated[int, Field(ge=0)] = 20
    long_poll_waiters: Annotated[int, Field(ge=0, le=100)] = 8
    trusted_proxies: Annotated[tuple[str, ...], BeforeValidator(_networks)] = ()

    agent_silence_minutes: _Minutes = 15
    task_deadline_hours: Annotated[int, Field(ge=1)] = 72
    retention_days: Annotated[int, Field(ge=0)] = 0

    path_prefix: Annotated[str, BeforeValidator(_prefix)] = "/api/v1"
    cors_origins: Annotated[tuple[str, ...], BeforeValidator(_list)] = ("http://localhost:5173",)
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], _Upper] = "INFO"

    def __getattr__(self, name: str) -> Any:
        """Reached only for what `settings` left out because the environment does not have it."""
        if name in type(self).model_fields:
            raise SettingsError(f"{name.upper()} is not set: put it into .env or the function's environment")
        raise AttributeError(name)


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process. An empty variable counts as not set.

    Under the variables lie those of FACET_SECRETS, a JSON object with settings as its keys, then the files of the
    folder FACET_SECRETS_DIR, and under them what AWS tells a function of itself. Raises SettingsError when a variable
    that is set cannot be used.
    """
    below = _files(os.environ.get("FACET_SECRETS_DIR")) | _secrets(os.environ.get("FACET_SECRETS"))
    variables = below | {name: text for name, text in os.environ.items() if text}
    given = {name: variables[name.upper()] for name in Settings.model_fields if variables.get(name.upper())}
    given |= _aws_storage(given, variables)
    if "minio_host" in given:
        given.setdefault("minio_public_url", given["minio_host"])
    try:
        read = Settings.model_validate(given)
    except ValidationError as error:
        faults = "; ".join(f"{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors(include_input=False))
        raise SettingsError(f"{faults}. Correct them in .env or the function's environment") from None
    for name, value in list(vars(read).items()):
        if value is None and Settings.model_fields[name].annotation in _NEVER_NONE:
            del vars(read)[name]
    return read


_NEVER_NONE = (str, SecretStr)
_ROLE_KEYS = {
    "minio_access_key": "AWS_ACCESS_KEY_ID",
    "minio_secret_key": "AWS_SECRET_ACCESS_KEY",
    "minio_session_token": "AWS_SESSION_TOKEN",
}


def _secrets(text: str | None) -> dict[str, str]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise SettingsError('FACET_SECRETS is no JSON object of texts, such as {"SECRET_KEY": "…"}')
    return found


def _files(folder: str | None) -> dict[str, str]:
    """Secrets as OpenFaaS mounts them: SECRET_KEY is a file of this name, or `secret-key`."""
    if not folder:
        return {}
    from pathlib import Path

    try:
        found = {path.name.replace("-", "_").upper(): path for path in Path(folder).iterdir() if path.is_file()}
        known = {name.upper() for name in Settings.model_fields} & found.keys()
        return {name: found[name].read_text(encoding="utf-8").rstrip("\r\n") for name in known}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"FACET_SECRETS_DIR, {folder}, cannot be read ({type(error).__name__})") from None


def _aws_storage(given: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    """On AWS, its S3 where no other is named, and the keys of the function's role; these go to no other S3."""
    if "AWS_REGION" not in variables:
        return {}
    region = given.get("minio_region", variables["AWS_REGION"])
    host = given.get("minio_host", f"https://s3.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}")
    if not host.rstrip("/").endswith((".amazonaws.com", ".amazonaws.com.cn")):
        return {}
    has_keys = bool({"minio_access_key", "minio_secret_key"} & set(given))
    keys = {} if has_keys else {name: variables[key] for name, key in _ROLE_KEYS.items() if key in variables}
    return {"minio_host": host, "minio_region": region, **keys}
