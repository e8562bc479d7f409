"""`facet deploy urls`: the outputs of a stack as the manifest that frontends read locally."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner
from moto import mock_aws

from local import manifest, template
from local.cli import main
from local.deploy import stack_outputs
from local.template.intrinsics import parse

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
API = "https://abc123.execute-api.eu-west-1.amazonaws.com"
PARAMETERS = {"PathPrefix": "/api/v1", "RabbitmqTasksResultsQueue": "verdicts", "SecretKey": "****"}


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        yield


def create(name: str, outputs: dict[str, str], parameters: dict[str, str] = PARAMETERS) -> None:
    """A stack with these outputs; the resources behind them are of no interest."""
    body = {
        "Parameters": {key: {"Type": "String"} for key in parameters},
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {key: {"Value": value} for key, value in outputs.items()},
    }
    boto3.client("cloudformation", region_name="eu-west-1").create_stack(
        StackName=name,
        TemplateBody=json.dumps(body),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    )


def url(name: str) -> str:
    return f"https://{name.lower()}.lambda-url.eu-west-1.on.aws/"


@pytest.fixture
def rows() -> dict[str, dict[str, Any]]:
    urls = {f"{name}Url": url(name) for name in ("CreateTask", "GetTask")}
    create("facet-staging", {"ApiUrl": f"{API}/api/v1", **urls})
    return {row["name"]: row for row in stack_outputs.read(TEMPLATE, "facet-staging", "eu-west-1")}


def test_it_lists_every_function_in_the_form_of_the_local_manifest(rows: dict[str, dict[str, Any]]) -> None:
    local = {spec.name: manifest.row(spec) for spec in template.load(TEMPLATE).functions.values()}
    assert set(rows) == set(local)
    for name, row in rows.items():
        assert list(row) == list(local[name])
        assert (row["timeout"], row["memory"]) == (local[name]["timeout"], local[name]["memory"])


def test_functions_have_their_own_urls_and_those_of_the_api(rows: dict[str, dict[str, Any]]) -> None:
    assert rows["create_task"]["url"] == rows["create_task"]["host_url"] == url("CreateTask")
    assert rows["get_task"]["url"] == url("GetTask")
    assert rows["create_task"]["routes"][0] == {
        "method": "POST",
        "path": "/api/v1/3d-model-generation/tasks",
        "url": f"{API}/api/v1/3d-model-generation/tasks",
    }
    assert rows["health"]["routes"][0]["url"] == f"{API}/health/live"


def test_a_function_without_a_url_has_none(rows: dict[str, dict[str, Any]]) -> None:
    assert (rows["migrate"]["url"], rows["migrate"]["routes"]) == (None, [])


def test_the_stacks_own_parameters_hold(rows: dict[str, dict[str, Any]]) -> None:
    assert rows["consume_results"]["queues"] == ["verdicts"]


def test_the_verb_prints_it_as_json(rows: dict[str, dict[str, Any]]) -> None:
    options = ["--stack", "facet-staging", "--region", "eu-west-1", "--template", str(TEMPLATE)]
    result = CliRunner().invoke(main, ["deploy", "urls", *options])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output) == list(rows.values())


@pytest.mark.parametrize(
    ("stack", "region", "said"),
    [
        ("nowhere", "eu-west-1", "AWS does not tell of the stack nowhere: .*--region names another region"),
        ("other", "eu-west-1", "The stack other has no output ApiUrl; its status is CREATE_COMPLETE"),
        ("facet-staging", None, "You must specify a region.*--region"),
    ],
)
def test_what_cannot_be_read_is_told_with_the_next_command(stack: str, region: str | None, said: str) -> None:
    create("other", {})
    with pytest.raises(stack_outputs.NoStack, match=f"(?s){said}"):
        stack_outputs.read(TEMPLATE, stack, region)


def test_the_template_has_a_url_among_its_outputs_for_every_function_with_one() -> None:
    outputs = set(parse(TEMPLATE.read_text())["Outputs"])
    urls = {
        f"{spec.logical_id.removesuffix('Function')}Url"
        for spec in template.load(TEMPLATE).functions.values()
        if spec.url
    }
    assert urls | {"ApiUrl"} == {name for name in outputs if name.endswith("Url")}
