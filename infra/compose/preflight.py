"""`python -m infra.compose.preflight [--next]`: what of the settings keeps compose.yaml from working or being safe."""

import argparse
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local.cloud import environment

PROJECT = Path(__file__).resolve().parents[2]
_HOST_NAME = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?", re.I)
_LOOPBACK = ("127.", "localhost", "[::1]")


@dataclass(frozen=True)
class Finding:
    """What is wrong and the next step; `fatal` when the stack would not work, or would not be private."""

    fault: str
    advice: str
    fatal: bool = True


def settings(project: Path) -> dict[str, str]:
    """What Compose puts into the file: `.env`, overruled by this process. Raises EnvironmentUnreadable."""
    return environment.DEFAULTS | environment.load(project) | environment.overruling()


def findings(project: Path) -> Iterator[Finding]:
    """Raises EnvironmentUnreadable."""
    at = settings(project)
    missing = [each.name for each in environment.SETTINGS if each.secret and not at.get(each.name)]
    if missing:
        yield Finding(f"No value for {', '.join(missing)}", "Put it into .env: openssl rand -hex 24")
    for fault, advice in environment.concerns(project):
        yield Finding(fault, advice, fatal="placeholder" in fault or "shorter" in fault)
    yield from _names(at) if at.get("FACET_DOMAIN") or at.get("FACET_STORAGE_DOMAIN") else _without_a_name(at)
    if at["INTEGRATIONS_AUTH"].lower() == "off":
        yield Finding("INTEGRATIONS_AUTH=off: anybody may make tasks", "Remove it from .env", fatal=False)
    yield from _folder(project, at)


def _names(at: Mapping[str, str]) -> Iterator[Finding]:
    named = {name: at.get(name, "") for name in ("FACET_DOMAIN", "FACET_STORAGE_DOMAIN")}
    for name, value in named.items():
        if not value:
            yield Finding(f"{name} is not set, but the other is", f"Add to .env: {name}=name.of.yours.example")
        elif not _HOST_NAME.fullmatch(value):
            yield Finding(f"{name} is {value!r}, which is no host name", "Write it without https://, port and path")
    if len(set(named.values())) == 1:
        yield Finding("FACET_DOMAIN and FACET_STORAGE_DOMAIN are one name", "Give the storage a name of its own")
    for name, port in (("APP_PUBLISH", "80"), ("APP_TLS_PUBLISH", "443")):
        if at[name].startswith(_LOOPBACK):
            yield Finding(f"{name} is {at[name]}: nobody else reaches {named['FACET_DOMAIN']}", f"Add: {name}={port}")
    if not at["MINIO_PUBLISH"].startswith(_LOOPBACK):
        yield Finding(f"MINIO_PUBLISH is {at['MINIO_PUBLISH']}: files go over plain HTTP", "Remove it from .env")
    if (url := at.get("MINIO_PUBLIC_URL")) and url != f"https://{named['FACET_STORAGE_DOMAIN']}":
        yield Finding(f"MINIO_PUBLIC_URL is {url}, not the storage's name", "Remove it from .env", fatal=False)
    if at["CORS_ORIGINS"] == environment.DEFAULTS["CORS_ORIGINS"]:
        advice = "Add the origin of your pages: CORS_ORIGINS=https://www.name.example"
        yield Finding(f"CORS_ORIGINS is {at['CORS_ORIGINS']}: no other page may call", advice, fatal=False)


def _without_a_name(at: Mapping[str, str]) -> Iterator[Finding]:
    for name in ("APP_PUBLISH", "MINIO_PUBLISH"):
        if not at[name].startswith(_LOOPBACK):
            fault = f"{name} is {at[name]}: passwords and files go over plain HTTP to every network of this machine"
            yield Finding(
                fault, "Set FACET_DOMAIN and FACET_STORAGE_DOMAIN, or let it begin with 127.0.0.1:", fatal=False
            )


def _folder(project: Path, at: Mapping[str, str]) -> Iterator[Finding]:
    """Make the folder of the backups, for whom writes them; else the engine would make it, for root."""
    folder, (user, _, group) = project / at["BACKUP_FOLDER"], at["BACKUP_USER"].partition(":")
    if not (user.isdigit() and group.isdigit()):
        yield Finding(f"BACKUP_USER is {at['BACKUP_USER']!r}", "Write numbers: BACKUP_USER=$(id -u):$(id -g)")
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.geteuid() == 0 and folder.stat().st_uid != int(user):
        os.chown(folder, int(user), int(group))
    if folder.stat().st_uid != int(user):
        owner = f"BACKUP_USER={folder.stat().st_uid}:{folder.stat().st_gid}"
        yield Finding(f"{folder} does not belong to BACKUP_USER={at['BACKUP_USER']}", f"Add to .env: {owner}")


def addresses(at: Mapping[str, str]) -> str:
    """Where everything is, and what to do next."""
    domain, prefix = at.get("FACET_DOMAIN"), at["PATH_PREFIX"]
    api = f"https://{domain}" if domain else f"http://{_host(at['APP_PUBLISH'])}"
    storage = f"https://{at['FACET_STORAGE_DOMAIN']}" if domain else f"http://{_host(at['MINIO_PUBLISH'])}"
    return f"""
API            {api}{prefix}
Documentation  {api}/docs
Storage        {storage}
Next:
  curl --fail {api}/health/ready
  docker compose exec functions python -m local apikey create NAME    a key for an outside system
  docker compose logs --follow functions triggers                     what happens
  make backup                                                         the first backup
"""


def _host(published: str) -> str:
    host, _, port = published.rpartition(":")
    return f"{host.replace('127.0.0.1', 'localhost') or 'localhost'}:{port}"


def main(arguments: Sequence[str], project: Path = PROJECT) -> int:
    """0, or 1 when something has to be corrected first."""
    parser = argparse.ArgumentParser(prog="python -m infra.compose.preflight")
    parser.add_argument("--next", action="store_true", help="tell the addresses instead")
    options = parser.parse_args(arguments)
    try:
        if options.next:
            sys.stdout.write(addresses(settings(project)))
            return 0
        found = list(findings(project))
    except environment.EnvironmentUnreadable as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for each in found:
        sys.stderr.write(f"{'==>' if each.fatal else 'note:'} {each.fault}. {each.advice}\n")
    return int(any(each.fatal for each in found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
