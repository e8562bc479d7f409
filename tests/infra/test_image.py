"""The image: what stands in it, and that its commands work with nothing else, in a tree that they leave alone."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Settings
from tests.infra import image as images
from tests.infra import image_container
from tests.infra.image import ROOT, included, stages
from tests.infra.image_container import Container, unpacked

TARGETS = ("runtime", "lambda", "stack")


def lint(dockerfile: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "hadolint"), "--no-color", str(dockerfile)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_linter_finds_nothing() -> None:
    done = lint(images.DOCKERFILE)
    assert done.returncode == 0, done.stdout


def test_the_linter_would_find_something(tmp_path: Path) -> None:
    wrong = tmp_path / "Dockerfile"
    wrong.write_text(images.DOCKERFILE.read_text().replace("USER 10001:10001", "USER root"))
    assert "DL3002" in lint(wrong).stdout


def test_every_base_is_another_stage_or_a_pinned_image() -> None:
    (pinned,) = re.findall(r"^ARG PYTHON_IMAGE=(.*)$", images.DOCKERFILE.read_text(), re.MULTILINE)
    assert re.fullmatch(r"python:3\.13-slim-[a-z]+", pinned)
    assert {base for base, _ in stages().values()} - set(stages()) == {"${PYTHON_IMAGE}"}


@pytest.mark.parametrize("source", images.copied())
def test_what_is_copied_exists_and_reaches_the_build(source: str) -> None:
    assert (ROOT / source).exists()
    assert included(Path(source))


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        "infra/.env.production",
        ".git/config",
        ".facet/secrets.env",
        ".venv/bin/python",
        "backups/x/database.dump",
        "tests/conftest.py",
        "README.md",
        "infra/compose/README.md",
        "functions/health/__pycache__/handler.pyc",
    ],
)
def test_secrets_data_and_what_is_not_run_stay_outside(path: str) -> None:
    assert not included(Path(path))


def test_what_installs_packages_checks_their_hashes() -> None:
    runs = [arguments for _, body in stages().values() for keyword, arguments in body if keyword == "RUN"]
    installing = [re.split("&&", run) for run in runs if " install " in run and "pip" in run]
    commands = [command for parts in installing for command in parts if "pip" in command]
    assert commands
    assert all("--require-hashes" in command and "--only-binary=:all:" in command for command in commands)


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_runs_as_nobody_special_and_has_no_setting_that_is_a_secret(target: str) -> None:
    made = images.image(target)
    assert made.user == "10001:10001"
    assert set(made.env) <= {"PATH", "PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "FACET_STATE"}


@pytest.mark.parametrize("target", ["runtime", "lambda"])
def test_the_functions_alone_are_without_the_local_cloud(target: str) -> None:
    places = set(images.image(target).files)
    assert {"/app/functions", "/app/layers/facet/python", "/app/shared", "/app/infra/migrations/python"} <= places
    assert not [place for place in places if place.startswith(("/app/local", "/app/tests", "/app/template"))]


def test_lambda_starts_awss_interface_with_a_function() -> None:
    made = images.image("lambda")
    assert made.entrypoint == ["python", "-m", "awslambdaric"]
    assert made.cmd == ["functions.create_task.handler.app"]
    assert made.healthcheck == []
    assert "/interface" in made.env["PYTHONPATH"].split(":")


@pytest.fixture(params=["runtime"])
def container(request: pytest.FixtureRequest, tmp_path: Path, migrated: Settings) -> Iterator[Container]:
    with unpacked(request.param, tmp_path, migrated) as there:
        yield there


def test_the_image_serves_all_functions_and_knows_that_it_does(container: Container) -> None:
    image_container.serves(container)


def test_the_image_consumes_results_and_its_health_is_the_ready_file(container: Container) -> None:
    image_container.consumes(container)


def test_the_image_migrates_and_runs_what_schedules_invoke(container: Container) -> None:
    image_container.migrates(container)


@pytest.mark.parametrize("container", ["lambda"], indirect=True)
def test_the_image_for_lambda_answers_an_event_of_its_runtime(container: Container) -> None:
    image_container.answers_aws(container)


@pytest.mark.parametrize("container", ["stack"], indirect=True)
def test_the_image_of_one_machine_serves_the_functions_in_sandboxes_and_backs_up(container: Container) -> None:
    image_container.serves_in_sandboxes(container)
