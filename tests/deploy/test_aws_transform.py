"""AWS: what SAM's transform makes of the template is what was meant, and valid for CloudFormation."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from local import deploy, template
from local.template.intrinsics import parse
from tests.deploy import sam

PROJECT = Path(__file__).parents[2]
TEMPLATE = PROJECT / "template.yaml"
ARN = "arn:aws:{}:eu-central-1:111122223333:{}"
LEAST = {
    "PostgresHost": "db.example.com",
    "PostgresUser": "facet",
    "RabbitmqHost": "b-1234.mq.eu-central-1.on.aws",
    "RabbitmqPort": "5671",
    "RabbitmqUser": "facet",
    "RabbitmqBrokerArn": ARN.format("mq", "broker:facet:b-1234"),
    "MinioHost": "",
    "MinioImagesBucket": "example-photos",
    "Minio3dFilesBucket": "example-models",
    "MinioDecaEmotionsBucket": "example-emotions",
    "SecretsArn": ARN.format("secretsmanager", "secret:facet-AbCdEf"),
}
ALL = LEAST | {
    "SecretsVersion": "0b1c2d3e-0000-4000-8000-000000000000",
    "RabbitmqSecretArn": ARN.format("secretsmanager", "secret:broker-AbCdEf"),
    "VpcSubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1",
    "VpcSecurityGroupIds": "sg-0123456789abcdef0",
    "KmsKeyArn": ARN.format("kms", "key/0b1c2d3e-0000-4000-8000-000000000000"),
    "Architecture": "arm64",
    "CreateBuckets": "true",
    "AlarmEmail": "operator@example.com",
}
PARAMETERS = {"least": LEAST, "all": ALL}
IMAGE = {"ImageUri": "111122223333.dkr.ecr.eu-central-1.amazonaws.com/facet:1.0"}
MOST = {"Resources": 500, "Parameters": 200, "Outputs": 200, "bytes": 1_000_000, "references": 60}


def transformed(source: Path, parameters: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [str(sam.SAM.with_name("python")), str(PROJECT / "tests/deploy/transform.py"), str(source)],
        env={"PATH": os.environ["PATH"], "AWS_DEFAULT_REGION": "eu-central-1"},
        input=json.dumps(parameters),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def lint(document: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "transformed.json").write_text(json.dumps(document))
    command = [str(Path(sys.executable).with_name("cfn-lint")), "--regions", "us-east-1", "--", "transformed.json"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def of_type(document: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {name: each["Properties"] for name, each in document["Resources"].items() if each["Type"] == kind}


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return transformed(TEMPLATE, ALL)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rendered template of the stack that runs one container image."""
    path = tmp_path_factory.mktemp("image") / "image.yaml"
    path.write_text(deploy.render("aws", deploy.read(TEMPLATE))["image.yaml"])
    return path


@pytest.mark.parametrize("name", PARAMETERS)
def test_cloudformation_finds_nothing_with_every_condition_and_with_none(name: str, tmp_path: Path) -> None:
    done = lint(transformed(TEMPLATE, PARAMETERS[name]), tmp_path)
    assert done.returncode == 0, done.stdout


def test_it_would_find_something(made: dict[str, Any], tmp_path: Path) -> None:
    resources = made["Resources"] | {"Wrong": {"Type": "AWS::SNS::Subscription", "Properties": {"Endpoint": 1}}}
    assert "E3003" in lint(made | {"Resources": resources}, tmp_path).stdout  # TopicArn is required


def test_it_fits_into_a_stack(made: dict[str, Any]) -> None:
    sizes = {key: len(made[key]) for key in ("Resources", "Parameters", "Outputs")}
    text = json.dumps(made)
    sizes |= {"bytes": len(text), "references": text.count("{{resolve:")}
    assert {key: size for key, size in sizes.items() if size > MOST[key]} == {}


def test_functions_have_the_roles_of_the_template_and_sam_adds_none(made: dict[str, Any]) -> None:
    written = {
        name for name, each in parse(TEMPLATE.read_text())["Resources"].items() if each["Type"] == "AWS::IAM::Role"
    }
    assert set(of_type(made, "AWS::IAM::Role")) == written
    used = {each["Role"]["Fn::GetAtt"][0] for each in of_type(made, "AWS::Lambda::Function").values()}
    assert used == written
    assert all("ManagedPolicyArns" not in role for role in of_type(made, "AWS::IAM::Role").values())


def test_the_queue_of_results_is_read_with_the_brokers_secret(made: dict[str, Any]) -> None:
    (mapping,) = of_type(made, "AWS::Lambda::EventSourceMapping").values()
    assert mapping["EventSourceArn"] == {"Ref": "RabbitmqBrokerArn"}
    assert mapping["FunctionName"] == {"Ref": "ConsumeResultsFunction"}
    assert mapping["Queues"] == [{"Ref": "RabbitmqTasksResultsQueue"}]
    secret, host = mapping["SourceAccessConfigurations"]
    assert (secret["Type"], host) == ("BASIC_AUTH", {"Type": "VIRTUAL_HOST", "URI": {"Ref": "RabbitmqVhost"}})
    assert secret["URI"]["Fn::If"][:2] == ["HasSecretOfBroker", {"Ref": "RabbitmqSecretArn"}]


def test_a_url_is_open_to_everybody_and_nothing_else_is(made: dict[str, Any]) -> None:
    urls = {each["TargetFunctionArn"]["Ref"] for each in of_type(made, "AWS::Lambda::Url").values()}
    assert urls == {spec.logical_id for spec in template.load(TEMPLATE).functions.values() if spec.url}
    permissions = of_type(made, "AWS::Lambda::Permission").values()
    public = Counter(each["FunctionName"]["Ref"] for each in permissions if each["Principal"] == "*")
    assert public == Counter(dict.fromkeys(urls, 2))  # to ask its URL, and to invoke it by that alone
    for each in permissions:
        if each["Principal"] == "*":
            assert each.get("FunctionUrlAuthType") == "NONE" or each.get("InvokedViaFunctionUrl") is True
        else:
            assert each["Principal"] in ("apigateway.amazonaws.com", "events.amazonaws.com")
            assert "SourceArn" in each


def test_no_operators_function_can_be_reached_from_outside(made: dict[str, Any]) -> None:
    permitted = {each["FunctionName"]["Ref"] for each in of_type(made, "AWS::Lambda::Permission").values()}
    open_ones = {spec.logical_id for spec in template.load(TEMPLATE).functions.values() if spec.url or spec.schedules}
    assert permitted == open_ones


def test_schedules_run_one_at_a_time_and_are_not_repeated(made: dict[str, Any]) -> None:
    functions = of_type(made, "AWS::Lambda::Function")
    configured = {
        each["FunctionName"]["Ref"]: each for each in of_type(made, "AWS::Lambda::EventInvokeConfig").values()
    }
    assert set(configured) == {"RelayOutboxFunction", "ReapTasksFunction", "PurgeExpiredFunction"}
    for name, each in configured.items():
        assert (functions[name]["ReservedConcurrentExecutions"], each["MaximumRetryAttempts"]) == (1, 0)


def test_the_stack_of_one_image_is_valid_and_has_the_same_functions(
    image: Path, made: dict[str, Any], tmp_path: Path
) -> None:
    done = sam.run("validate", "--lint", "--template", str(image))
    assert done.returncode == 0, done.stdout + done.stderr
    of_image = transformed(image, ALL | IMAGE)
    assert lint(of_image, tmp_path).returncode == 0
    functions = of_type(of_image, "AWS::Lambda::Function")
    assert set(functions) == set(of_type(made, "AWS::Lambda::Function"))
    assert functions["CreateTaskFunction"]["ImageConfig"] == {"Command": ["functions.create_task.handler.app"]}
    for name, each in functions.items():
        assert (each["PackageType"], each["Code"]) == ("Image", {"ImageUri": {"Ref": "ImageUri"}}), name
        assert not {"Handler", "Runtime", "Layers"} & set(each)
        zipped = of_type(made, "AWS::Lambda::Function")[name]
        assert {key: each[key] for key in ("Role", "Timeout", "MemorySize", "Environment")} == {
            key: zipped[key] for key in ("Role", "Timeout", "MemorySize", "Environment")
        }
    assert of_type(of_image, "AWS::Lambda::LayerVersion") == {}
