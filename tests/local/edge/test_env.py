"""`facet env` tells how AWS's clients are pointed at the local cloud, and the secret only when asked for it."""

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from local import cli
from local.cloud import environment


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings and state of this test's own."""
    for name in (setting.name for setting in environment.SETTINGS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FACET_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("FACET_ENV_FILE", str(tmp_path / ".env"))


def env(*arguments: str) -> Result:
    result = CliRunner().invoke(cli.main, ["env", *arguments])
    assert result.exit_code == 0, result.output
    return result


def secret(tmp_path: Path) -> str:
    return environment.read(tmp_path / ".env")["MINIO_SECRET_KEY"]


def test_endpoint_and_access_key_are_told_without_the_secret(tmp_path: Path) -> None:
    told = env().output
    settings = environment.read(tmp_path / ".env")
    assert "http://localhost:4566" in told
    assert settings["MINIO_ACCESS_KEY"] in told
    assert not any(
        settings[one.name] in told for one in environment.SETTINGS if one.secret and "ACCESS" not in one.name
    )


def test_the_secret_is_shown_when_asked_for(tmp_path: Path) -> None:
    told = env("--show").output
    assert "localstack_client.session.Session(" in told
    assert secret(tmp_path) in told


def test_a_shell_takes_the_variables(tmp_path: Path) -> None:
    env()
    text = env("--export").output
    script = f'{text}\necho "$AWS_ENDPOINT_URL $AWS_SECRET_ACCESS_KEY $AWS_DEFAULT_REGION"'
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert said == f"http://localhost:4566 {secret(tmp_path)} us-east-1\n"


def test_scripts_get_json_with_the_secret_only_when_it_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = json.loads(env("--json").output)
    assert (first["written"], "AWS_SECRET_ACCESS_KEY" in first) == (True, False)
    monkeypatch.setenv("EDGE_PORT", "4567")
    second = json.loads(env("--json", "--show").output)
    assert (second["written"], second["AWS_SECRET_ACCESS_KEY"]) == (False, secret(tmp_path))
    assert second["AWS_ENDPOINT_URL"] == "http://localhost:4567"
