"""template.yaml is valid SAM, lists every function, and its routes are those that the functions declare."""

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local import template

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "template.yaml"
FOLDERS = sorted(path.parent.name for path in ROOT.glob("functions/*/handler.py"))
INTERNAL = {
    "disable_user",
    "fail_task",
    "import_legacy",
    "issue_token",
    "list_users",
    "migrate",
    "requeue_task",
    "set_password",
    "set_test_mode",
    "show_task",
}


@pytest.fixture(scope="module")
def read() -> template.Template:
    return template.load(TEMPLATE)


def lint(path: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("cfn-lint")), "--regions", "us-east-1", "--", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_cfn_lint_finds_nothing() -> None:
    result = lint(TEMPLATE)
    assert result.returncode == 0, result.stdout


def test_cfn_lint_would_find_something(tmp_path: Path) -> None:
    wrong = tmp_path / "template.yaml"
    wrong.write_text(TEMPLATE.read_text().replace("Timeout: 15", "Timeout: soon"))
    assert "E3012" in lint(wrong).stdout  # the value is of the wrong type


def test_every_folder_is_a_function_of_its_name(read: template.Template) -> None:
    assert sorted(read.functions) == FOLDERS
    assert all(spec.code == ROOT / "functions" / name for name, spec in read.functions.items())


def test_the_emulator_does_all_that_the_template_says(read: template.Template) -> None:
    assert read.warnings == []


@pytest.mark.parametrize("name", FOLDERS)
def test_the_routes_are_those_the_function_declares(name: str, read: template.Template) -> None:
    app: Any = importlib.import_module(f"functions.{name}.handler").app
    declared = {f"{endpoint.method} {endpoint.path}" for endpoint in app.endpoints}
    listed = {f"{route.method} {route.path.removeprefix('/api/v1')}" for route in read.functions[name].routes}
    assert listed == declared


@pytest.mark.parametrize("name", sorted(INTERNAL))
def test_an_internal_function_cannot_be_reached_from_outside(name: str, read: template.Template) -> None:
    spec = read.functions[name]
    assert (spec.url, spec.routes, spec.queues, spec.schedules) == (None, (), (), ())


def test_the_results_queue_and_the_schedules_invoke_their_functions(read: template.Template) -> None:
    assert [(mapping.function, mapping.queue) for mapping in read.queues] == [
        ("consume_results", "generation_task_results")
    ]
    assert {schedule.function for schedule in read.schedules} == {"relay_outbox", "reap_tasks", "purge_expired"}


def test_settings_reach_functions_under_their_own_names() -> None:
    given = {"POSTGRES_HOST": "db.internal", "MINIO_3D_FILES_BUCKET": "models", "PATH_PREFIX": "/v9"}
    spec = template.load(TEMPLATE, given).functions["create_task"]
    assert {name: spec.environment[name] for name in given} == given
    assert spec.routes[0].path == "/v9/3d-model-generation/tasks"
