"""What template.yaml says of AWS alone: who may deploy it how, what fits, what watches, whose buckets."""

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from facet import objects
from facet.settings import settings
from local import template
from local.services.rabbitmq import agent_rights
from local.template.intrinsics import Resolver, parse, setting_name
from local.template.parameters import parameter_values
from local.template.properties import Properties
from tests.infra.aws_roles import TEMPLATE

DOCUMENT: dict[str, Any] = parse(TEMPLATE.read_text())
RESOURCES: dict[str, Any] = DOCUMENT["Resources"]
MOST_REFERENCES = 60
GIVEN = {
    "POSTGRES_HOST": "facet.cluster-abcdefghijkl.eu-central-1.rds.amazonaws.com",
    "POSTGRES_USER": "facet",
    "RABBITMQ_HOST": "b-12345678-1234-1234-1234-123456789012.mq.eu-central-1.on.aws",
    "RABBITMQ_PORT": "5671",
    "RABBITMQ_USER": "facet",
    "RABBITMQ_BROKER_ARN": "arn:aws:mq:eu-central-1:111122223333:broker:facet:b-12345678-1234-1234-1234-123456789012",
    "SECRETS_ARN": "arn:aws:secretsmanager:eu-central-1:111122223333:secret:facet-staging-AbCdEf",
    "MINIO_HOST": "",
    "MINIO_IMAGES_BUCKET": "example-facet-staging-photos",
    "MINIO_3D_FILES_BUCKET": "example-facet-staging-models",
    "MINIO_DECA_EMOTIONS_BUCKET": "example-facet-staging-emotions",
}
IN_PERSON = {
    "SECRETS_ARN": "",
    "RABBITMQ_SECRET_ARN": "arn:aws:secretsmanager:eu-central-1:111122223333:secret:broker-AbCdEf",
    **dict.fromkeys(("SECRET_KEY", "REFRESH_SECRET_KEY", "POSTGRES_PASSWORD", "RABBITMQ_PASSWORD"), "x" * 32),
}


@pytest.fixture
def anew() -> Iterator[None]:
    """Settings and a client of this test alone."""
    settings.cache_clear()
    objects._client.cache_clear()
    yield
    settings.cache_clear()
    objects._client.cache_clear()


def resolver(given: dict[str, str]) -> Resolver:
    parameters: dict[str, Any] = {}
    found = Resolver(DOCUMENT, parameters)
    declared = Properties(DOCUMENT, found, file=TEMPLATE, where="template").part("Parameters")
    parameters |= {name: parameter.text("Default", "") for name, parameter in declared.parts().items()}
    parameters |= parameter_values(declared, given)
    return found


def refusals(**changed: str) -> list[str]:
    """The sentences of the rules that these parameters break."""
    at = resolver({**GIVEN, **changed})
    return [
        assertion["AssertDescription"]
        for rule in DOCUMENT["Rules"].values()
        if "RuleCondition" not in rule or at.resolve(rule["RuleCondition"])
        for assertion in rule["Assertions"]
        if not at.resolve(assertion["Assert"])
    ]


# ---- Rules ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "changed",
    [
        {},
        IN_PERSON,
        {"VPC_SUBNET_IDS": "subnet-1a,subnet-2b", "VPC_SECURITY_GROUP_IDS": "sg-1a"},
        {"CREATE_BUCKETS": "true"},
        {"CORS_ORIGINS": "*"},
        {"MINIO_HOST": "https://s3.example.com", "MINIO_IMAGES_BUCKET": "input-images"},
    ],
)
def test_what_is_complete_is_deployed(changed: dict[str, str]) -> None:
    assert refusals(**changed) == []


@pytest.mark.parametrize("name", ["SECRET_KEY", "REFRESH_SECRET_KEY", "POSTGRES_PASSWORD", "RABBITMQ_PASSWORD"])
def test_without_a_secret_every_parameter_of_it_is_needed(name: str) -> None:
    (said,) = refusals(**{**IN_PERSON, name: ""})
    assert said.startswith("Give SecretsArn, a secret with SECRET_KEY, ")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"CORS_ORIGINS": "https://app.example.com, *"}, "CorsOrigins names origins, or is * alone"),
        ({"PATH_PREFIX": "/v2"}, "the routes of the API begin with /api/v1"),
        ({"RABBITMQ_BROKER_ARN": DOCUMENT["Parameters"]["RabbitmqBrokerArn"]["Default"]}, "Give RabbitmqBrokerArn"),
        ({**IN_PERSON, "RABBITMQ_SECRET_ARN": ""}, "Give RabbitmqSecretArn or SecretsArn"),
        ({"RABBITMQ_PORT": "5672"}, "RabbitmqPort has to be 5671"),
        ({"VPC_SUBNET_IDS": "subnet-1a"}, "VpcSubnetIds and VpcSecurityGroupIds together"),
        ({"VPC_SECURITY_GROUP_IDS": "sg-1a"}, "VpcSubnetIds and VpcSecurityGroupIds together"),
        ({"MINIO_3D_FILES_BUCKET": "3d-files"}, "all of AWS shares the names of buckets"),
        ({"MINIO_HOST": "https://s3.example.com", "CREATE_BUCKETS": "true"}, "so leave MinioHost empty"),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence(changed: dict[str, str], said: str) -> None:
    (found,) = refusals(**changed)
    assert said in found


def test_the_rules_use_functions_that_rules_may_use() -> None:
    used = {name for name in _keys(DOCUMENT["Rules"]) if name.startswith("Fn::")}
    assert used <= {"Fn::And", "Fn::Contains", "Fn::EachMemberEquals", "Fn::Equals", "Fn::Not", "Fn::Or"}


def _keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*map(_keys, value.values()))
    return set().union(*map(_keys, value)) if isinstance(value, list) else set()


# ---- samconfig.toml --------------------------------------------------------------------------------------------------
CONFIG = tomllib.loads((TEMPLATE.parent / "infra/aws/samconfig.toml").read_text())
ENVIRONMENTS = {
    name: dict(line.replace('"', "").split("=", 1) for line in each["deploy"]["parameters"]["parameter_overrides"])
    for name, each in CONFIG.items()
    if name != "version"
}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_gives_every_parameter_that_has_no_default(environment: str) -> None:
    declared = DOCUMENT["Parameters"]
    needed = {name for name, parameter in declared.items() if "Default" not in parameter}
    assert needed <= set(ENVIRONMENTS[environment]) <= set(declared)


def test_every_environment_is_asked_for_the_same() -> None:
    first, *others = ({name for name, value in each.items() if "<" in value} for each in ENVIRONMENTS.values())
    assert others
    assert all(each == first for each in others)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_nothing_secret_is_configured(environment: str) -> None:
    hidden = {name for name, parameter in DOCUMENT["Parameters"].items() if "NoEcho" in parameter}
    assert not hidden & set(ENVIRONMENTS[environment])


@pytest.mark.parametrize(
    ("name", "value"),
    sorted({(name, value) for each in ENVIRONMENTS.values() for name, value in each.items() if "<" in value}),
)
def test_a_placeholder_that_was_left_is_refused(name: str, value: str) -> None:
    with pytest.raises(template.TemplateError, match=DOCUMENT["Parameters"][name]["ConstraintDescription"]):
        resolver({name: value})


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_without_placeholders_is_deployed(environment: str) -> None:
    filled = {name: value for name, value in ENVIRONMENTS[environment].items() if "<" not in value}
    at = {**GIVEN, "VPC_SUBNET_IDS": "subnet-1a", "VPC_SECURITY_GROUP_IDS": "sg-1a"}
    named = {setting_name(name): value for name, value in filled.items()}
    assert refusals(**{**at, **named}) == []


# ---- Secrets and limits ---------------------------------------------------------------------------------------------
def test_the_secret_is_looked_up_once_a_function_as_often_as_a_stack_may() -> None:
    assert json.dumps(DOCUMENT["Globals"]).count("{{resolve:") == 1
    assert "{{resolve:" not in json.dumps(RESOURCES)
    assert len(template.load(TEMPLATE).functions) <= MOST_REFERENCES


def variables(**changed: str) -> dict[str, str]:
    found: dict[str, str] = resolver({**GIVEN, **changed}).resolve(
        DOCUMENT["Globals"]["Function"]["Environment"]["Variables"]
    )
    return {name: str(value) for name, value in found.items()}


def test_a_version_of_the_secret_can_be_named() -> None:
    arn = GIVEN["SECRETS_ARN"]
    assert variables()["FACET_SECRETS"] == f"{{{{resolve:secretsmanager:{arn}:SecretString:::}}}}"
    assert variables(SECRETS_VERSION="v2")["FACET_SECRETS"] == f"{{{{resolve:secretsmanager:{arn}:SecretString:::v2}}}}"
    assert "FACET_SECRETS" not in variables(**IN_PERSON)


def test_the_functions_read_their_settings_out_of_what_the_reference_becomes(
    anew: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = {"SECRET_KEY": "k" * 64, "POSTGRES_PASSWORD": "p", "username": "facet", "password": "q"}
    for name, value in {**variables(), "FACET_SECRETS": json.dumps(secret), "AWS_REGION": "eu-central-1"}.items():
        monkeypatch.setenv(name, value)
    assert settings().secret_key.get_secret_value() == "k" * 64
    assert settings().postgres_password.get_secret_value() == "p"
    assert settings().postgres_host == GIVEN["POSTGRES_HOST"]
    assert settings().minio_host == "https://s3.eu-central-1.amazonaws.com"


def test_the_variables_fit_into_what_lambda_takes_with_room_for_long_values() -> None:
    secrets = {
        **dict.fromkeys(("SECRET_KEY", "REFRESH_SECRET_KEY", "POSTGRES_PASSWORD", "RABBITMQ_PASSWORD"), "x" * 128),
        **dict.fromkeys(("MINIO_SIGNING_ACCESS_KEY", "MINIO_SIGNING_SECRET_KEY", "username"), "x" * 40),
        "password": "x" * 128,
    }
    full = variables(CORS_ORIGINS="https://a-long-name.example.com," * 10) | {"FACET_SECRETS": json.dumps(secrets)}
    assert len(json.dumps(full)) < template.MOST_ENVIRONMENT_BYTES - 512


# ---- Buckets --------------------------------------------------------------------------------------------------------
def test_buckets_are_made_when_asked_for_and_outlive_the_stack() -> None:
    buckets = {name: each for name, each in RESOURCES.items() if each["Type"] == "AWS::S3::Bucket"}
    assert len(buckets) == 3
    for each in buckets.values():
        assert (each["Condition"], each["DeletionPolicy"], each["UpdateReplacePolicy"]) == (
            "MakesBuckets",
            "Retain",
            "Retain",
        )
        assert all(each["Properties"]["PublicAccessBlockConfiguration"].values())
        assert "BucketEncryption" in each["Properties"]


@mock_aws
def test_the_stacks_buckets_let_browsers_do_what_migrate_lets_them(anew: None, monkeypatch: pytest.MonkeyPatch) -> None:
    origins = ["https://app.example.com"]
    for name, value in {
        "MINIO_HOST": "https://s3.amazonaws.com",
        "MINIO_ACCESS_KEY": "a",
        "MINIO_SECRET_KEY": "b",
    }.items():
        monkeypatch.setenv(name, value)
    objects.ensure_bucket("photos")
    objects.allow_origins("photos", origins)
    rules = boto3.client("s3", region_name="us-east-1").get_bucket_cors(Bucket="photos")["CORSRules"]
    named = {"ExposedHeaders": "ExposeHeaders", "MaxAge": "MaxAgeSeconds"}
    at = resolver({**GIVEN, "CORS_ORIGINS": ",".join(origins)})
    written = at.resolve(RESOURCES["ImagesBucket"]["Properties"]["CorsConfiguration"]["CorsRules"])
    assert [{named.get(key, key): value for key, value in rule.items()} for rule in written] == rules


# ---- Alarms ---------------------------------------------------------------------------------------------------------
ALARMS = {name: each["Properties"] for name, each in RESOURCES.items() if each["Type"] == "AWS::CloudWatch::Alarm"}


def test_every_alarm_is_told_and_says_what_is_the_matter() -> None:
    for alarm in ALARMS.values():
        assert alarm["AlarmActions"] == [{"Ref": "AlarmTopic"}]
        assert alarm["AlarmDescription"]


@pytest.mark.parametrize("function", ["ConsumeResults", "RelayOutbox", "ReapTasks", "PurgeExpired"])
def test_what_nobody_waits_for_has_an_alarm(function: str) -> None:
    watched = ALARMS[f"{function}Alarm"]["Metrics"]
    metrics = {each["MetricStat"]["Metric"]["MetricName"] for each in watched if "MetricStat" in each}
    assert metrics == {"Errors", "Throttles"}
    assert json.dumps(watched).count(f'{{"Ref": "{function}Function"}}') == 2


@pytest.mark.parametrize(
    ("line", "counted"),
    [
        ("2026-11-23T08:00:00.000Z 5f3c1a9e-0000-0000-0000-000000000000 Task timed out after 15.02 seconds", True),
        ("RequestId: 5f3c1a9e-0000-0000-0000-000000000000 Error: Runtime exited with error: signal: killed", True),
        ("[ERROR] Runtime.ImportModuleError: Unable to import module 'handler': No module named 'pika'", True),
        ("REPORT RequestId: 5f3c1a9e-0000-0000-0000-000000000000\tDuration: 12.35 ms\tBilled Duration: 13 ms", False),
    ],
)
def test_functions_that_end_without_a_word_count_as_those_that_log_errors(line: str, counted: bool) -> None:
    ended, logged = (RESOURCES[name]["Properties"] for name in ("FunctionsEnded", "ErrorsLogged"))
    assert any(term in line for term in re.findall(r'\?"([^"]+)"', ended["FilterPattern"])) is counted
    assert ended["MetricTransformations"] == logged["MetricTransformations"]


def test_dead_letters_are_watched_where_they_come_to_lie() -> None:
    at = resolver({**GIVEN, "RABBITMQ_TASKS_QUEUE": "work", "RABBITMQ_VHOST": "facet"})
    dimensions = at.resolve(ALARMS["DeadTasksAlarm"]["Dimensions"])
    assert {each["Name"]: each["Value"] for each in dimensions} == {
        "Broker": "facet",
        "VirtualHost": "facet",
        "Queue": "work.dead",
    }


def test_every_function_logs_into_the_group_that_forgets() -> None:
    assert DOCUMENT["Globals"]["Function"]["LoggingConfig"] == {"LogGroup": {"Ref": "LogGroup"}}
    assert RESOURCES["LogGroup"]["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


# ---- The page for operators -----------------------------------------------------------------------------------------
PAGE = (TEMPLATE.parent / "infra/aws/README.md").read_text()


def test_the_page_counts_right() -> None:
    functions = template.load(TEMPLATE).functions.values()
    urls = sum(spec.url is not None for spec in functions)
    assert f"{len(functions)} Lambda functions" in PAGE
    assert f"{urls} function URLs" in PAGE
    assert len(ALARMS) == 12
    assert PAGE.count("twelve alarms") == 2


def test_the_page_says_what_to_do_about_every_alarm() -> None:
    assert [name for name in ALARMS if f"`{name.removesuffix('Alarm')}`" not in PAGE] == []


def test_the_page_gives_agents_the_rights_that_they_have_locally() -> None:
    queues = {"RABBITMQ_TASKS_QUEUE": "generation_tasks", "RABBITMQ_TASKS_RESULTS_QUEUE": "generation_task_results"}
    rights = agent_rights(queues)
    assert all(f"`{kind} {right}`" in PAGE for kind, right in rights.items())


def test_what_the_page_tells_the_build_is_what_its_makefiles_ask_for() -> None:
    [told] = re.findall(r"(\w+)=\S+ \$SAM build", PAGE)
    layers = {each["Properties"]["ContentUri"] for each in RESOURCES.values() if "ContentUri" in each["Properties"]}
    makefiles = [(TEMPLATE.parent / path / "Makefile").read_text() for path in layers]
    asking = [text for text in makefiles if "--platform" in text]
    assert asking
    assert all(f"$({told})" in text for text in asking)


def test_parameters_and_outputs_that_the_page_names_exist() -> None:
    named = set(re.findall(r'`(\w+)="', PAGE)) | set(re.findall(r"\$\(output (\w+)\)", PAGE))
    assert named <= set(DOCUMENT["Parameters"]) | set(DOCUMENT["Outputs"])
