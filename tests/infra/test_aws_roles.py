"""On AWS a function may do what it does, and nothing else."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from facet import objects
from local.template.intrinsics import parse
from tests.infra.aws_roles import TEMPLATE, Forbidden, Watch, rights

ROOT = Path(__file__).parents[2]
SECRETS = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:facet-AbCdEf"
BROKER = "arn:aws:mq:eu-west-1:111122223333:broker:facet:b-1234"
KEY = "arn:aws:kms:eu-west-1:111122223333:key/1234"
SETTINGS = {
    "MINIO_IMAGES_BUCKET": "photos",
    "MINIO_3D_FILES_BUCKET": "models",
    "MINIO_DECA_EMOTIONS_BUCKET": "emotions",
    "RABBITMQ_BROKER_ARN": BROKER,
    "SECRETS_ARN": SECRETS,
}
FOLDERS = sorted(path.parent.name for path in ROOT.glob("functions/*/handler.py"))
S3 = "arn:aws:s3:::"
PHOTOS = {("s3:GetObject", f"{S3}photos/*")}
MODELS = {("s3:GetObject", f"{S3}models/*")}
FOR_AGENTS = PHOTOS | {("s3:GetObject", f"{S3}emotions/*"), ("s3:ListBucket", f"{S3}emotions")}
TABLE: dict[str, set[tuple[str, str]]] = {
    "get_profile_info": PHOTOS,
    "update_profile": PHOTOS,
    "get_generation_history": PHOTOS,
    "get_task": PHOTOS | MODELS,
    "list_tasks": PHOTOS | MODELS,
    "get_task_file": PHOTOS | MODELS,
    "cancel_task": PHOTOS | MODELS,
    "get_task_result": MODELS,
    "create_upload": {("s3:PutObject", f"{S3}photos/uploads/*")},
    "create_task": FOR_AGENTS
    | {("s3:PutObject", f"{S3}photos/*"), ("s3:PutObject", f"{S3}models/*"), ("s3:ListBucket", f"{S3}photos")},
    "retry_task": FOR_AGENTS | MODELS | {("s3:PutObject", f"{S3}models/*")},
    "relay_outbox": FOR_AGENTS,
    "consume_results": MODELS
    | {
        ("s3:ListBucket", f"{S3}models"),
        ("mq:DescribeBroker", BROKER),
        ("secretsmanager:GetSecretValue", SECRETS),
    },
    "purge_expired": {("s3:DeleteObject", f"{S3}photos/*"), ("s3:DeleteObject", f"{S3}models/*")},
    "health": {("s3:GetObject", f"{S3}photos/health"), ("s3:ListBucket", f"{S3}photos")},
    "import_legacy": {("s3:PutObject", f"{S3}photos/*"), ("s3:PutObject", f"{S3}models/*")},
    "migrate": {("s3:PutBucketCORS", f"{S3}photos"), ("s3:PutBucketCORS", f"{S3}models")}
    | {(action, f"{S3}{name}") for action in ("s3:CreateBucket", "s3:ListBucket") for name in ("photos", "models")}
    | {(action, f"{S3}emotions") for action in ("s3:CreateBucket", "s3:ListBucket")},
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_role_allows_what_its_function_does(name: str) -> None:
    allowed = {(right.action, right.resource) for right in rights(SETTINGS)[name]}
    assert allowed == TABLE.get(name, set())


@pytest.mark.parametrize("name", FOLDERS)
def test_only_a_function_that_reaches_the_storage_has_a_right_to_it(name: str) -> None:
    module = importlib.import_module(f"functions.{name}.handler")
    reaches = any(value is objects for value in vars(module).values())
    assert reaches == any(right.action.startswith("s3:") for right in rights(SETTINGS)[name])


def test_the_key_of_the_secret_is_for_who_reads_the_queue_alone() -> None:
    found = rights({**SETTINGS, "KMS_KEY_ARN": KEY})
    with_key = {name for name, own in found.items() if any(right.resource == KEY for right in own)}
    assert with_key == {"consume_results"}


def test_the_broker_may_have_a_secret_of_its_own() -> None:
    own = f"{SECRETS}-broker"
    found = rights({**SETTINGS, "RABBITMQ_SECRET_ARN": own})["consume_results"]
    assert [right.resource for right in found if right.action == "secretsmanager:GetSecretValue"] == [own]


def roles() -> dict[str, Any]:
    resources = parse(TEMPLATE.read_text())["Resources"]
    return {name: each["Properties"] for name, each in resources.items() if each["Type"] == "AWS::IAM::Role"}


def test_no_role_names_every_resource_save_in_a_vpc() -> None:
    for name, role in roles().items():
        log, network, *own = role["Policies"]
        assert log["PolicyDocument"]["Statement"][0]["Resource"] == {"Fn::GetAtt": "LogGroup.Arn"}, name
        condition, allowed, otherwise = network["Fn::If"]
        assert (condition, otherwise) == ("InVpc", {"Ref": "AWS::NoValue"})
        lambdas, codes = allowed["PolicyDocument"]["Statement"]
        assert all(action.startswith("ec2:") for action in lambdas["Action"])
        assert (codes["Effect"], codes["Action"]) == ("Deny", lambdas["Action"])
        assert codes["Condition"]["ArnLike"]["lambda:SourceFunctionArn"]["Fn::Sub"].endswith(":function:*")
        assert '"*"' not in json.dumps(own), name


def test_the_watch_over_other_tests_finds_what_is_not_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(SETTINGS)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "get_profile_info")
    watch.check("GET", "photos", "a.jpg")
    for operation, bucket in (("GET", "models"), ("PUT", "photos"), ("DeleteObject", "photos")):
        with pytest.raises(Forbidden, match=r"get_profile_info: s3:.*add it to the function's role"):
            watch.check(operation, bucket, "a.jpg")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "list_users")
    with pytest.raises(Forbidden):
        watch.check("ListObjectsV2", "photos")
