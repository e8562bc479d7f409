"""Chalice: the zip file it packages answers under Lambda's runtime, from its files and its stack's settings alone."""

from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from local.testing import services as servers
from tests import budgets
from tests.conftest import Settings
from tests.deploy import world
from tests.deploy.packaged import Packaged, unpacked
from tests.deploy.trials.named import trial
from tests.deploy.world import World
from tests.functions import api
from tests.infra import chalice_package

pytestmark = pytest.mark.xdist_group("chalice")
ORIGIN = "https://app.example.com"
BROKER = "arn:aws:mq:us-east-1:000000000000:broker:facet:b-1234"


@pytest.fixture(scope="module")
def package(lambda_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands of the page leave in `out`."""
    return chalice_package.make(tmp_path_factory.mktemp("chalice"), "vendor", f"PYTHON313={lambda_python}")


@pytest.fixture(scope="module")
def deployed(package: Path, services: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The functions of the package with servers' parts of their own, migrated by the packaged `migrate`."""
    parts = (servers.database, servers.broker, servers.buckets)
    settings = {name: value for part in parts for name, value in part(services, "chalice").items()}
    settings |= {**servers.secret(), "CORS_ORIGINS": ORIGIN, "RABBITMQ_BROKER_ARN": BROKER}
    folder = tmp_path_factory.mktemp("chalice-stack")
    with world.made(unpacked(package, folder, settings), folder, settings, kind=Packaged) as made:
        yield made


def test_lambda_may_read_every_file_of_it(package: Path) -> None:
    with ZipFile(package / "deployment.zip") as archive:
        files = archive.infolist()
    assert len(files) > 1000
    assert [each.filename for each in files if not each.external_attr >> 16 & 0o004] == []


@pytest.mark.parametrize("name", budgets.functions())
def test_it_answers_for_every_function(deployed: World, name: str) -> None:
    trial(name)(deployed)
    assert deployed.deployed.said == []


def test_it_answers_the_preflight_of_a_page(deployed: World) -> None:
    asked = {"origin": ORIGIN, "access-control-request-method": "GET", "access-control-request-headers": "access-token"}
    answer = api.request("get_profile_info", "OPTIONS", "/user-info/profile-info", headers=asked)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (204, ORIGIN)
    assert "access-token" in answer.headers["access-control-allow-headers"]


def test_a_message_in_the_results_queue_reaches_the_function_of_its_mapping(deployed: World) -> None:
    task = deployed.task()
    report = {"request_uuid": task, "status": "IN_PROGRESS", "progress": 40, "stage": "fitting"}
    done = deployed.deployed.publish(api.RESULTS_QUEUE, report).wait()
    assert (done.function, done.function_error) == ("consume_results", None)
    assert deployed.status(task) == "IN_PROGRESS"


@pytest.mark.parametrize("schedule", ["relay_outbox", "reap_tasks", "purge_expired"])
def test_a_schedule_reaches_its_function(deployed: World, schedule: str) -> None:
    done = deployed.deployed.run(schedule)
    assert (done.function, done.function_error) == (schedule, None)
