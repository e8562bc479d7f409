"""What is rendered for Google Cloud, and how infra/gcp/deploy.sh calls gcloud, which is a stand-in here."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from local import deploy
from tests.conftest import PROJECT
from tests.infra.commands import Commands

FOLDER = PROJECT / "infra/gcp"


@pytest.fixture
def google(tmp_path: Path, filled: Callable[[str], Path]) -> Commands:
    there = {"PROJECT": "mine", "REGION": "europe-west1", "RENDERED": str(filled("gcp"))}
    return Commands(tmp_path, "infra/gcp/deploy.sh", "gcloud", "docker", **there)


def test_every_function_that_something_calls_is_an_entry_point_and_no_other(source: deploy.Source) -> None:
    called = {spec.name for spec in source.template.functions.values() if spec.routes or spec.queues or spec.schedules}
    lines = (FOLDER / "functions.txt").read_text().splitlines()[1:]
    assert {line.split()[0] for line in lines} == called | {"api"}


def test_what_may_be_added_is_named_and_nobody_is_asked_to_fill_it_in(source: deploy.Source) -> None:
    written = (FOLDER / "settings.yaml").read_text()
    optional = [each.name for each in source.plain if each.default == "" and each.name != "TRUSTED_PROXIES"]
    assert "RABBITMQ_MANAGEMENT_URL" in optional
    assert f"May be added: {', '.join(optional)}." in " ".join(written.replace("\n#", "").split())
    assert not set(optional) & set(yaml.safe_load(written))


def test_a_function_gets_the_limits_of_the_template_and_may_be_called_by_anybody(google: Commands) -> None:
    assert google.run("functions", "create_task").returncode == 0
    [call] = google.of("run deploy facet-create-task")
    limits = "--function=create_task --memory=1024Mi --timeout=30 --concurrency=2 --cpu=1 --allow-unauthenticated"
    assert limits in call
    settings = yaml.safe_load(call.files[call.option("--env-vars-file")])
    assert (settings["THREADS"], settings["POSTGRES_PORT"]) == ("2", "5432")


def test_secrets_come_from_secret_manager_and_from_nowhere_else(google: Commands, source: deploy.Source) -> None:
    assert google.run("api").returncode == 0
    [call] = google.of("run deploy facet-api")
    secrets = dict(pair.split("=") for pair in call.option("--set-secrets").split(","))
    assert set(secrets) == {setting.name for setting in source.secrets}
    assert secrets["SECRET_KEY"] == "facet-secret-key:latest"
    settings = yaml.safe_load(call.files[call.option("--env-vars-file")])
    assert not set(secrets) & set(settings)


def test_a_secrets_value_is_read_and_is_no_argument(google: Commands) -> None:
    done = google.run("secret", "POSTGRES_PASSWORD", typed=" a b$c`d\\e \n")
    [call] = google.of("secrets versions add facet-postgres-password")
    assert (done.returncode, call.read) == (0, " a b$c`d\\e ")
    assert "b$c" not in " ".join(call.arguments) + done.stdout + done.stderr


def test_what_nobody_may_call_is_called_by_the_scheduler_alone(google: Commands) -> None:
    assert google.run("schedules").returncode == 0
    deployed = [call for call in google.of("run deploy") if "--no-allow-unauthenticated" in call]
    assert [call.option("--function") for call in deployed] == ["relay_outbox", "reap_tasks", "purge_expired"]
    assert all("--max-instances=1 --concurrency=1" in call for call in deployed)
    [job] = google.of("scheduler jobs create http facet-reap-tasks")
    assert "--schedule=* * * * *" in job.arguments
    assert "--attempt-deadline=50s --max-retry-attempts=0 --uri=https://facet.example.org" in job
    assert "ce-specversion=1.0" in job.option("--headers")


def test_results_are_consumed_by_a_pool_of_the_image(google: Commands) -> None:
    assert google.run("results", IMAGE="registry.example.org/facet:1", SQL="mine:europe-west1:facet").returncode == 0
    [call] = google.of("worker-pools deploy facet-results")
    assert "--image=registry.example.org/facet:1 --args=-m,facet.consume --memory=512Mi --scaling=1" in call
    assert yaml.safe_load(call.files[call.option("--env-vars-file")])["FACET_TIMEOUT"] == "60"
    assert call.option("--set-cloudsql-instances") == "mine:europe-west1:facet"


def test_an_operators_function_is_a_job_and_keeps_its_event_whole(google: Commands) -> None:
    assert google.run("invoke", "disable_user", '{"email": "a@b.c", "disabled": true}').returncode == 0
    [call] = google.of("jobs deploy facet-operate")
    assert call.option("--args") == '^|^-m|facet.invoke|disable_user|{"email": "a@b.c", "disabled": true}'
    assert call.option("--task-timeout") == "300"
    assert yaml.safe_load(call.files[call.option("--env-vars-file")])["FACET_TIMEOUT"] == "300"
    assert google.of("jobs execute facet-operate --wait")


def test_the_image_is_built_for_the_only_machines_that_cloud_run_has(google: Commands) -> None:
    assert google.run("image", IMAGE="registry.example.org/facet:1").returncode == 0
    [call] = google.of("build")
    assert "--platform=linux/amd64 --tag=registry.example.org/facet:1" in call
    assert google.of("push registry.example.org/facet:1")


def test_settings_without_a_value_stop_it_before_anything_is_done(google: Commands) -> None:
    stopped = google.run("api", RENDERED=str(FOLDER))
    assert (stopped.returncode, google.calls) == (1, [])
    assert "POSTGRES_HOST" in stopped.stderr
    assert "next: fill them in" in stopped.stderr


@pytest.mark.parametrize("words", [[], ["nonsense"], ["secret"], ["functions"], ["invoke"], ["assemble"]])
def test_a_command_it_does_not_know_shows_those_there_are(google: Commands, words: list[str]) -> None:
    refused = google.run(*words)
    assert (refused.returncode, google.calls) == (2, [])
    assert "deploy.sh migrate" in refused.stdout


@pytest.mark.parametrize("words", [["secret", "NOTHING"], ["functions", "nothing"], ["functions", "list_users"]])
def test_a_name_that_there_is_not_is_told(google: Commands, words: list[str]) -> None:
    refused = google.run(*words)
    assert (refused.returncode, google.calls) == (1, [])
    assert f"There is no {words[0].removesuffix('s')} {words[1]}." in refused.stderr


def test_it_wants_to_know_the_project(google: Commands) -> None:
    refused = google.run("prepare", PROJECT="")
    assert (refused.returncode, google.calls) == (1, [])
    assert "export PROJECT=" in refused.stderr


def test_what_is_uploaded_is_the_code_and_its_packages(tmp_path: Path, google: Commands) -> None:
    assert google.run("assemble", str(tmp_path / "upload")).returncode == 0
    uploaded = {path.name for path in (tmp_path / "upload").iterdir()}
    assert uploaded == {"main.py", "requirements.txt", "functions", "facet", "avatars", "migrations"}
    assert not list((tmp_path / "upload").rglob("__pycache__"))
