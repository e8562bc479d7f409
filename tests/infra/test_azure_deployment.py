"""What is rendered for Azure Functions, and how infra/azure/deploy.sh calls az, which is a stand-in here."""

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]  # its types are a package of their own
import pytest

from local import deploy
from tests.conftest import PROJECT
from tests.infra.commands import Commands

FOLDER = PROJECT / "infra/azure"
SCHEMA = PROJECT / "tests/infra/schemas/azure_host.json"
RABBITMQ_WAITS = 30 * 60  # seconds until RabbitMQ closes the channel of a consumer that settles nothing


@pytest.fixture
def azure(tmp_path: Path, filled: Callable[[str], Path]) -> Commands:
    there = {"GROUP": "group", "APP": "my-facet", "VAULT": "my-vault", "RENDERED": str(filled("azure"))}
    return Commands(tmp_path, "infra/azure/deploy.sh", "az", **there)


def test_the_host_is_told_what_its_schema_knows() -> None:
    schema, host = json.loads(SCHEMA.read_text()), json.loads((FOLDER / "host.json").read_text())
    jsonschema.validate(host, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**host, "functionTimeout": "ten minutes"}, schema)


def test_messages_that_wait_in_an_instance_are_not_taken_back_while_each_is_tried() -> None:
    from facet.adapters import azure

    host = json.loads((FOLDER / "host.json").read_text())
    waiting = host["extensions"]["rabbitMQ"]["prefetchCount"]
    assert waiting * (sum(azure.PAUSES) + 60) < RABBITMQ_WAITS


def test_paths_begin_as_facet_says() -> None:
    host = json.loads((FOLDER / "host.json").read_text())
    assert host["extensions"]["http"] == {"routePrefix": ""}


def test_no_secret_is_among_the_settings(source: deploy.Source) -> None:
    secrets = {setting.name for setting in source.secrets} | {"RABBITMQ_CONNECTION"}
    assert not secrets & set(json.loads((FOLDER / "settings.json").read_text()))
    example = json.loads((FOLDER / "local.settings.json.example").read_text())["Values"]
    assert {example[name] for name in secrets} == {""}


def test_those_who_wait_for_a_task_leave_half_of_the_threads_to_others() -> None:
    settings = json.loads((FOLDER / "settings.json").read_text())
    assert int(settings["LONG_POLL_WAITERS"]) <= int(settings["PYTHON_THREADPOOL_THREAD_COUNT"]) // 2


def test_settings_name_the_secrets_of_the_key_vault(azure: Commands, source: deploy.Source) -> None:
    assert azure.run("settings").returncode == 0
    [call] = azure.of("functionapp config appsettings set")
    assert "RABBITMQ_CONNECTION=@Microsoft.KeyVault(VaultName=my-vault;SecretName=facet-rabbitmq-connection)" in (
        call.arguments
    )
    named = {word.partition("=")[0] for word in call.arguments if "@Microsoft.KeyVault(" in word}
    assert named == {setting.name for setting in source.secrets} | {"RABBITMQ_CONNECTION"}
    [settings] = call.files.values()
    assert json.loads(settings)["POSTGRES_HOST"] == "something"


def test_a_secrets_value_is_read_and_is_no_argument(azure: Commands) -> None:
    done = azure.run("secret", "POSTGRES_PASSWORD", typed=" a b$c`d\\e \n")
    [call] = azure.of("keyvault secret set facet-postgres-password my-vault")
    assert (done.returncode, list(call.files.values())) == (0, [" a b$c`d\\e "])
    assert "b$c" not in " ".join(call.arguments) + done.stdout + done.stderr
    assert not any(Path(name).exists() for name in call.files)


def test_settings_without_a_value_stop_it_before_anything_is_done(azure: Commands) -> None:
    stopped = azure.run("settings", RENDERED=str(FOLDER))
    assert (stopped.returncode, azure.calls) == (1, [])
    assert "POSTGRES_HOST" in stopped.stderr
    assert "next: fill them in" in stopped.stderr


def test_the_code_is_sent_for_azure_to_build(azure: Commands) -> None:
    assert azure.run("code").returncode == 0
    [call] = azure.of("functionapp deployment source config-zip --build-remote true")
    assert call.arguments[call.arguments.index("--src") + 1].endswith("/app.zip")


def test_the_app_may_read_secrets_and_its_owner_write_them(azure: Commands) -> None:
    assert azure.run("prepare", LOCATION="westeurope", STORAGE="myfacet").returncode == 0
    granted = [call.arguments[call.arguments.index("--role") + 1] for call in azure.of("role assignment create")]
    assert granted == ["Key Vault Secrets User", "Key Vault Secrets Officer"]
    assert azure.of("functionapp create --runtime python --runtime-version 3.13 --https-only true")


@pytest.mark.parametrize("words", [[], ["nonsense"], ["secret"], ["assemble"]])
def test_a_command_it_does_not_know_shows_those_there_are(azure: Commands, words: list[str]) -> None:
    refused = azure.run(*words)
    assert (refused.returncode, azure.calls) == (2, [])
    assert "deploy.sh settings" in refused.stdout


def test_it_wants_to_know_where(azure: Commands) -> None:
    for words in (["code"], ["settings"], ["prepare"]):
        refused = azure.run(*words, GROUP="")
        assert (refused.returncode, azure.calls) == (1, [])
        assert "export GROUP=" in refused.stderr


def test_what_is_uploaded_is_the_code_and_its_packages(tmp_path: Path, azure: Commands) -> None:
    assert azure.run("assemble", str(tmp_path / "upload")).returncode == 0
    uploaded = {path.name for path in (tmp_path / "upload").iterdir()}
    packages = {"functions", "facet", "avatars", "migrations"}
    assert uploaded == {"function_app.py", "host.json", "requirements.txt"} | packages
    assert not list((tmp_path / "upload").rglob("__pycache__"))
