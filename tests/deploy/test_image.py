"""The image: its packages as the Dockerfile installs them, and its commands with nothing else."""

import functools
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Settings
from tests.infra import image as images
from tests.infra import image_container
from tests.infra.image_container import Container, unpacked

pytestmark = pytest.mark.xdist_group("image")
STAGES = {"runtime": ["functions"], "lambda": ["functions", "runtime-interface"], "stack": ["local-cloud"]}


def install(stage: str, folder: Path, python: Path) -> None:
    """What the stage's RUN says of pip and of the packages' byte code, with the image's folders below `folder`."""
    locks = {name: str(path) for name, path in images.image(stage).files.items() if name.startswith("/locks/")}
    for keyword, arguments in images.stages()[stage][1]:
        if keyword != "RUN" or "pip" not in arguments:
            continue
        command = arguments.replace("pip install", "pip --python /venv/bin/python install")
        command = re.sub(r"\bpython -m", "/venv/bin/python -m", command)
        for name, path in {**locks, "/venv": str(folder / "venv"), "/interface": str(folder / "interface")}.items():
            command = command.replace(name, path)
        command = re.sub(r"(^|&& )pip ", rf"\1{sys.executable} -m pip --disable-pip-version-check --quiet ", command)
        done = subprocess.run(["/bin/sh", "-ec", command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


Packages = Callable[[str], Path]


@pytest.fixture(scope="module")
def packages(lambda_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Packages:
    """The folder in which a target's packages are, installed when it is asked for."""

    @functools.cache
    def installed(target: str) -> Path:
        folder = tmp_path_factory.mktemp(target)
        subprocess.run([str(lambda_python), "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
        for stage in STAGES[target]:
            install(stage, folder, folder / "venv/bin/python")
        return folder

    return installed


@pytest.fixture(params=["runtime"])
def container(
    request: pytest.FixtureRequest, packages: Packages, tmp_path: Path, migrated: Settings
) -> Iterator[Container]:
    folder = packages(request.param)
    more = {"python": str(folder / "venv/bin/python"), "interface": folder / "interface"}
    with unpacked(request.param, tmp_path, migrated, **more) as there:
        yield there


def test_it_serves_all_functions(container: Container) -> None:
    image_container.serves(container)


def test_it_consumes_results(container: Container) -> None:
    image_container.consumes(container)


def test_it_migrates_and_runs_what_schedules_invoke(container: Container) -> None:
    image_container.migrates(container)


@pytest.mark.parametrize("container", ["lambda"], indirect=True)
def test_the_one_for_lambda_answers_an_event_of_its_runtime(container: Container) -> None:
    image_container.answers_aws(container)


@pytest.mark.parametrize("container", ["stack"], indirect=True)
def test_the_one_for_one_machine_serves_in_sandboxes_and_backs_up(container: Container) -> None:
    image_container.serves_in_sandboxes(container)


@pytest.mark.parametrize("target", ["runtime", "lambda"])
def test_it_is_without_what_builds_installs_and_tests(packages: Packages, target: str) -> None:
    (site,) = (packages(target) / "venv/lib").glob("python*/site-packages")
    assert not {each.name for each in site.iterdir()} & {"pip", "setuptools", "wheel", "pytest", "moto", "mypy"}
    assert list(site.glob("uvicorn/__pycache__/*.pyc"))
