"""`facet deploy render`: what is asked of the template, what is written, and what is never overwritten."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from local import cli, deploy
from local.template.intrinsics import parse
from tests.infra.conftest import Files
from tests.infra.manifests import ROOT

TARGETS = ("kubernetes", "knative", "openfaas")
TEMPLATE = """
Parameters:
  PostgresHost: { Type: String, Description: Where it is }
  PostgresPort: { Type: Number, Default: 5432 }
  CorsOrigins: { Type: CommaDelimitedList, Default: "a,b" }
  SecretKey: { Type: String, NoEcho: true, Default: "" }
  SecretsArn: { Type: String, Default: "" }
Globals:
  Function:
    Environment:
      Variables:
        POSTGRES_HOST: !Ref PostgresHost
        POSTGRES_PORT: !Ref PostgresPort
        CORS_ORIGINS: !Join [",", !Ref CorsOrigins]
        SECRET_KEY: !If [Given, !Ref SecretKey, !Ref AWS::NoValue]
        FACET_SECRETS: !Sub "{{resolve:secretsmanager:${SecretsArn}}}"
        ALL_SECRETS: !Join ["", [!Ref SecretsArn]]
        VERBOSE: true
Resources:
  OneFunction: { Properties: { Environment: { Variables: { OWN: text, VERBOSE: false } } } }
  Topic: {}
"""


def render(*arguments: object) -> Result:
    return CliRunner().invoke(cli.main, ["deploy", "render", *map(str, arguments)])


def test_settings_are_the_variables_that_a_parameter_of_their_name_decides() -> None:
    assert deploy.settings_of(parse(TEMPLATE)) == [
        deploy.Setting("POSTGRES_HOST", None, False, "Where it is"),
        deploy.Setting("POSTGRES_PORT", "5432", False, ""),
        deploy.Setting("CORS_ORIGINS", "a,b", False, ""),
        deploy.Setting("SECRET_KEY", None, True, ""),
        deploy.Setting("VERBOSE", "true", False, ""),
        deploy.Setting("OWN", "text", False, ""),
    ]


@pytest.mark.parametrize("target", [*TARGETS, "azure", "gcp"])
def test_the_rendered_defaults_are_in_the_project(target: str, rendered: Callable[[str], Files]) -> None:
    folder = ROOT / "infra" / target
    assert {path: (folder / path).read_text() for path in rendered(target)} == rendered(target), (
        f"next: facet deploy render {target} --output infra/{target} --force"
    )


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_but_a_page_lies_beside_them(target: str, rendered: Callable[[str], Files]) -> None:
    folder = ROOT / "infra" / target
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert written - rendered(target).keys() == {"README.md"}


@pytest.mark.parametrize("target", TARGETS)
def test_no_value_of_a_secret_is_rendered(
    target: str, monkeypatch: pytest.MonkeyPatch, rendered: Callable[[str], Files]
) -> None:
    source = deploy.read(ROOT / "template.yaml")
    assert {"SECRET_KEY", "POSTGRES_PASSWORD", "MINIO_SECRET_KEY"} <= {setting.name for setting in source.secrets}
    for setting in source.settings:
        monkeypatch.setenv(setting.name, f"hidden-{setting.name}")
    assert deploy.render(target, deploy.read(ROOT / "template.yaml")) == rendered(target)


@pytest.mark.parametrize("target", TARGETS)
def test_the_image_is_everywhere_that_of_the_option(target: str) -> None:
    result = render(target, "--image", "registry.example.com/facet@sha256:0123", "--json")
    text = "".join(json.loads(result.output).values())
    assert text.count("image: registry.example.com/facet@sha256:0123") == text.count("image: ") > 4


def test_files_are_written_once_and_others_of_their_names_left_alone(tmp_path: Path) -> None:
    first = render("kubernetes", "--output", tmp_path)
    assert (first.exit_code, "next: " in first.output) == (0, True)
    again = json.loads(render("kubernetes", "--output", tmp_path, "--json").output)
    assert set(again.values()) == {"unchanged"}
    settings = tmp_path / "settings" / "settings.yaml"
    settings.write_text("mine")
    (tmp_path / "app" / "api.yaml").unlink()
    refused = render("kubernetes", "--output", tmp_path)
    assert refused.exit_code == 1
    assert "settings/settings.yaml. Nothing was written.\nnext: --force" in refused.output
    assert (settings.read_text(), (tmp_path / "app" / "api.yaml").exists()) == ("mine", False)
    assert render("kubernetes", "--output", tmp_path, "--force").exit_code == 0
    assert "POSTGRES_HOST" in settings.read_text()


def test_printed_files_each_begin_with_their_path(rendered: Callable[[str], Files]) -> None:
    text = render("knative").output
    assert [line[2:] for line in text.splitlines() if line[2:] in rendered("knative")] == list(rendered("knative"))


def test_an_image_must_have_a_name() -> None:
    assert render("kubernetes", "--image", " ").exit_code == 2


def test_a_template_without_the_migration_is_refused_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "hello").mkdir()
    template = tmp_path / "template.yaml"
    template.write_text(
        "Resources:\n  HelloFunction:\n    Type: AWS::Serverless::Function\n"
        "    Properties: {Handler: a.b, CodeUri: hello, FunctionUrlConfig: {AuthType: NONE}}\n"
    )
    result = render("kubernetes", "--template", template)
    assert result.exit_code == 1
    assert "has no function migrate" in result.output
    assert "next: " in result.output
