"""What make asks of Docker for the single machine, with a docker that only notes what it is asked."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.compose import preflight, release
from local.cloud import environment
from tests.stacks import PRODUCT_SETTINGS

ROOT = Path(__file__).parents[2]
DOCKER = """#!/bin/sh
echo "${FACET_VERSION:+FACET_VERSION=$FACET_VERSION }$*" >> "$CALLS"
case "$*" in
    "version --format"*) echo "${ENGINE:-28.3.0}";;
    ${FAILS:-nothing}) echo "failed as asked" >&2; exit 1;;
esac
"""
LOOKING = {"compose version", "info", "version --format {{.Server.Version}}"}
BACKUP = "compose run --rm backup python -m infra.compose.backup"
RESTORE = "compose run --rm backup python -m infra.compose.restore 20261123T023000Z"

Make = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What make needs of this project, with an .env of its own."""
    folder = tmp_path / "project"
    shutil.copytree(ROOT / "infra/compose", folder / "infra/compose", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    (folder / "local").symlink_to(ROOT / "local")
    (folder / ".env").touch(mode=0o600)
    (folder / ".env").write_text(environment.render(with_secrets=True) + f"BACKUP_USER={os.getuid()}:{os.getgid()}\n")
    python = folder / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (folder / ".venv/run").touch()
    return folder


@pytest.fixture
def make(project: Path, tmp_path: Path) -> Make:
    """Runs make there; what docker was asked is in the file `calls` beside the project."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "docker").write_text(DOCKER)
    (tools / "docker").chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith((*PRODUCT_SETTINGS, "MAKE"))}

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        own = {"PATH": f"{tools}:{os.environ['PATH']}", "CALLS": str(tmp_path / "calls"), **variables}
        command = ["make", "--no-print-directory", *arguments]
        return subprocess.run(
            command, cwd=project, env=kept | own, capture_output=True, text=True, timeout=60, check=False
        )

    return run


def calls(project: Path) -> list[str]:
    """What docker was asked to do, without what make looks up first."""
    lines = (project.parent / "calls").read_text().splitlines()
    return [line for line in lines if line not in LOOKING]


def test_deploy_builds_starts_waits_and_tells_the_addresses(project: Path, make: Make) -> None:
    done = make("deploy")
    assert done.returncode == 0, done.stderr
    assert calls(project) == ["compose build", "compose up --detach --wait --remove-orphans"]
    assert "http://localhost:8080/api/v1" in done.stdout
    assert "http://localhost:9000" in done.stdout
    assert stat.S_IMODE((project / "backups").stat().st_mode) == 0o700


def test_a_stack_that_does_not_come_up_is_told_with_where_to_look(make: Make) -> None:
    done = make("deploy", FAILS="*--wait*")
    assert done.returncode != 0
    assert "docker compose ps --all" in done.stdout


@pytest.mark.parametrize(
    ("fails", "engine", "said"),
    [
        ("compose\\ version", "28.0", "Install Docker Engine and its Compose plugin"),
        ("info", "28.0", "daemon does not answer"),
        ("nothing", "24.0.9", "needs 25 or later"),
    ],
)
def test_a_docker_that_cannot_do_it_is_told_first(
    project: Path, make: Make, fails: str, engine: str, said: str
) -> None:
    done = make("deploy", FAILS=fails, ENGINE=engine)
    assert done.returncode != 0
    assert said in done.stdout
    assert calls(project) == []


def test_a_backup_is_made_by_a_container_of_the_stack(project: Path, make: Make) -> None:
    assert make("backup").returncode == 0
    assert calls(project) == [BACKUP]


def test_a_restore_is_checked_before_the_functions_stop_and_ends_with_a_whole_stack(project: Path, make: Make) -> None:
    assert make("restore", "BACKUP=backups/20261123T023000Z/").returncode == 0
    assert calls(project) == [
        f"{RESTORE} --check",
        "compose stop proxy functions triggers agent",
        RESTORE,
        "compose run --rm --no-deps migrate",
        "compose up --detach --wait",
    ]


def test_a_restore_that_would_be_refused_stops_nothing(project: Path, make: Make) -> None:
    assert make("restore", "BACKUP=20261123T023000Z", FAILS="*--check*").returncode != 0
    assert calls(project) == [f"{RESTORE} --check"]


def test_a_restore_by_force_says_so_both_times(project: Path, make: Make) -> None:
    assert make("restore", "BACKUP=20261123T023000Z", "FORCE=1").returncode == 0
    assert [call for call in calls(project) if "restore" in call] == [
        f"{RESTORE} --check --force",
        f"{RESTORE} --force",
    ]


def test_a_restore_wants_the_name_of_a_backup(project: Path, make: Make) -> None:
    done = make("restore")
    assert done.returncode != 0
    assert "make restore BACKUP=" in done.stdout
    assert calls(project) == []


def test_an_upgrade_backs_up_then_grows_the_schema_then_replaces_functions_then_triggers(
    project: Path, make: Make
) -> None:
    done = make("upgrade", "VERSION=1.2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert calls(project) == [
        BACKUP,
        "FACET_VERSION=1.2 compose build --pull",
        "compose pull --ignore-buildable",
        "FACET_VERSION=1.2 compose run --rm --no-deps migrate",
        "compose up --detach --wait --no-deps --no-build functions",
        "compose up --detach --wait --no-deps --no-build triggers agent",
        "compose up --detach --wait --no-build --remove-orphans",
    ]
    assert environment.read(project / ".env")["FACET_VERSION"] == "1.2"
    assert "make rollback VERSION=latest" in done.stdout


@pytest.mark.parametrize("fails", ["*backup", "*build*", "*migrate"])
def test_an_upgrade_that_fails_before_the_functions_are_replaced_leaves_the_tag(
    project: Path, make: Make, fails: str
) -> None:
    before = (project / ".env").read_text()
    assert make("upgrade", "VERSION=1.2", FAILS=fails).returncode != 0
    assert (project / ".env").read_text() == before
    assert not [call for call in calls(project) if " up " in call]


@pytest.mark.parametrize(("tag", "said"), [("latest", "runs already"), ("a b", "no tag"), ("../x", "no tag")])
def test_an_upgrade_wants_a_new_tag(project: Path, make: Make, tag: str, said: str) -> None:
    done = make("upgrade", f"VERSION='{tag}'")
    assert done.returncode != 0
    assert said in done.stderr
    assert calls(project) == []


def test_a_rollback_starts_the_former_image_and_touches_no_schema(project: Path, make: Make) -> None:
    assert make("upgrade", "VERSION=1.2").returncode == 0
    (project.parent / "calls").unlink()
    done = make("rollback", "VERSION=latest")
    assert done.returncode == 0, done.stderr
    assert calls(project) == [
        "image inspect facet:latest",
        "compose up --detach --wait --no-deps --no-build functions triggers agent",
    ]
    assert environment.read(project / ".env")["FACET_VERSION"] == "latest"


def test_a_rollback_to_an_image_that_is_gone_changes_nothing(project: Path, make: Make) -> None:
    done = make("rollback", "VERSION=0.9", FAILS="image*")
    assert done.returncode != 0
    assert "There is no image facet:0.9" in done.stdout
    assert "FACET_VERSION" not in environment.read(project / ".env")


def test_no_secret_is_in_a_command_or_in_what_is_printed(project: Path, make: Make) -> None:
    secrets = [each for name, each in environment.read(project / ".env").items() if name.endswith(("KEY", "PASSWORD"))]
    said = ""
    for arguments in (["deploy"], ["backup"], ["restore", "BACKUP=20261123T023000Z"], ["upgrade", "VERSION=2"]):
        done = make(*arguments)
        said += done.stdout + done.stderr
    assert len(secrets) == 9
    assert not [each for each in secrets if each in said + (project.parent / "calls").read_text()]


def test_every_file_that_the_targets_write_stays_private(project: Path) -> None:
    release.set_to("1.2", project)
    assert stat.S_IMODE((project / ".env").stat().st_mode) == 0o600
    assert (project / ".env").read_text().count("FACET_VERSION=") == 1


NAMES = {"FACET_DOMAIN": "api.example.org", "FACET_STORAGE_DOMAIN": "files.example.org"}
PORTS = {"APP_PUBLISH": "80", "APP_TLS_PUBLISH": "443"}
ORIGIN = {"CORS_ORIGINS": "https://www.example.org"}


@pytest.mark.parametrize(
    ("changes", "faults"),
    [
        ({}, []),
        (NAMES | PORTS | ORIGIN, []),
        (NAMES | PORTS, ["note: CORS_ORIGINS"]),
        (NAMES | ORIGIN, ["==> APP_PUBLISH is 127.0.0.1:8080", "==> APP_TLS_PUBLISH is 127.0.0.1:8443"]),
        ({"FACET_DOMAIN": "api.example.org", **PORTS, **ORIGIN}, ["==> FACET_STORAGE_DOMAIN is not set"]),
        (NAMES | PORTS | ORIGIN | {"FACET_DOMAIN": "https://api.example.org"}, ["==> FACET_DOMAIN is 'https:"]),
        (NAMES | PORTS | ORIGIN | {"FACET_STORAGE_DOMAIN": "api.example.org"}, ["==> FACET_DOMAIN and"]),
        (NAMES | PORTS | ORIGIN | {"MINIO_PUBLISH": "9000"}, ["==> MINIO_PUBLISH is 9000"]),
        (NAMES | PORTS | ORIGIN | {"MINIO_PUBLIC_URL": "http://x"}, ["note: MINIO_PUBLIC_URL"]),
        ({"APP_PUBLISH": "0.0.0.0:8080"}, ["note: APP_PUBLISH is 0.0.0.0:8080"]),
        ({"INTEGRATIONS_AUTH": "off"}, ["note: INTEGRATIONS_AUTH=off"]),
        ({"SECRET_KEY": ""}, ["==> No value for SECRET_KEY"]),
        ({"POSTGRES_PASSWORD": "changeme"}, ["==> POSTGRES_PASSWORD"]),
        ({"BACKUP_USER": "me"}, ["==> BACKUP_USER is 'me'"]),
    ],
    ids=lambda value: "-".join(value) or "nothing",
)
def test_settings_that_would_not_work_are_named_with_what_to_write(
    project: Path,
    changes: dict[str, str],
    faults: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in os.environ:
        if name.startswith(PRODUCT_SETTINGS):
            monkeypatch.delenv(name)
    with (project / ".env").open("a") as settings:
        settings.writelines(f"{name}={value}\n" for name, value in changes.items())
    code = preflight.main([], project)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == len(faults)
    assert all(line.startswith(fault) for line, fault in zip(said, faults, strict=True)), said
    assert code == int(any(fault.startswith("==>") for fault in faults))


def test_with_a_domain_the_addresses_are_those_of_the_web() -> None:
    told = preflight.addresses(environment.DEFAULTS | NAMES | PORTS)
    assert "API            https://api.example.org/api/v1\n" in told
    assert "Storage        https://files.example.org\n" in told
