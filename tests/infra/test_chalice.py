"""Facet as a Chalice app: under `chalice local` and the test client, on real servers; and as the package it deploys."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import httpx
import pytest
from chalice.app import Chalice
from chalice.test import Client

from facet import broker, loading
from facet.problems import Invalid
from local import deploy
from local.deploy import chalice_stack
from local.events import RmqMessage, rmq_event, schedule_event
from local.template import load
from local.template.intrinsics import Resolver, parse
from local.testing import Local
from tests.conftest import PROJECT, Settings
from tests.functions import api
from tests.functions.conftest import Queue
from tests.infra import chalice_package
from tests.infra.chalice_package import HERE
from tests.infra.conftest import Files
from tests.infra.tasks import status
from tests.media import photo
from tests.servers import postgres
from tests.stacks import free_port, until

SOURCES = ("", "layers/facet/python", "shared", "infra/migrations/python")
ORIGIN = "http://localhost:5173"
WHO = {"name": "Ada", "email": "ada@example.org", "password": api.PASSWORD}
TASKS = "/api/v1/3d-model-generation/tasks"
PROBLEM = {"accept": "application/problem+json"}


@pytest.fixture
def servers(clean: Settings, project: Local) -> Iterator[Settings]:
    api.local = project
    yield clean
    broker.close()


@pytest.fixture
def app(servers: Settings, monkeypatch: pytest.MonkeyPatch) -> Chalice:
    """The app in this process."""
    monkeypatch.delenv("AWS_EXECUTION_ENV", raising=False)
    spec = importlib.util.spec_from_file_location("app", HERE / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "app", module)
    spec.loader.exec_module(module)
    found: Chalice = module.app
    return found


@contextmanager
def chalice_local(settings: Settings) -> Iterator[httpx.Client]:
    """A client of `chalice local`, a process of its own."""
    port = free_port()
    command = [sys.executable, "-c", "from chalice.cli import main; main()", "--project-dir", str(HERE)]
    command += ["local", "--port", str(port), "--no-autoreload"]
    paths = os.pathsep.join(str(PROJECT / path) for path in SOURCES)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": paths, "AWS_DEFAULT_REGION": "us-east-1", **settings}
    with (
        subprocess.Popen(command, env=environment, cwd="/") as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):
        try:
            until(lambda: _answers(process, client), within=60, what="`chalice local` answers")
            yield client
        finally:
            process.kill()


def _answers(process: subprocess.Popen[bytes], client: httpx.Client) -> bool:
    assert process.poll() is None, "`chalice local` ended"
    try:
        return client.get("/health/live").status_code == 200
    except httpx.ConnectError:
        return False


def test_chalice_local_registers_a_person_signs_them_in_and_takes_their_photo(servers: Settings) -> None:
    with chalice_local(servers) as client:
        assert client.post("/api/v1/users/registration", json=WHO).status_code == 201
        again = client.post("/api/v1/users/registration", json=WHO, headers=PROBLEM)
        assert (again.status_code, again.json()["code"]) == (409, "EMAIL_TAKEN")
        tokens = client.post("/api/v1/users/authorization", json=WHO).json()
        mine = {"access-token": tokens["access_token"]}
        files = {"task_source_file": ("me.jpg", photo(), "image/jpeg")}
        made = client.post(TASKS, headers=mine, files=files)
        assert made.status_code == 201
        task = made.json()["request_uuid"]
        assert client.get(f"{TASKS}/{task}/status", headers=mine).json()["status"] == "PENDING"
        shown = client.get(TASKS, headers=mine, params=[("status", "PENDING"), ("status", "INITIAL")])
        assert [item["request_uuid"] for item in shown.json()["items"]] == [task]
        assert httpx.get(made.json()["source_file_path"]).status_code == 200
    [(_, properties)] = Queue(servers).take(servers["RABBITMQ_TASKS_QUEUE"])
    assert properties.correlation_id == task


def test_chalice_local_refuses_as_every_front_does(servers: Settings) -> None:
    with chalice_local({**servers, "CORS_ORIGINS": ORIGIN}) as client:
        missing = client.get("/api/v1/problems/a%2Fb", headers=PROBLEM)
        assert (missing.status_code, missing.json()["instance"]) == (404, "/api/v1/problems/a%2Fb")
        wrong = client.put("/health/live", headers={**PROBLEM, "origin": ORIGIN})
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD")
        assert wrong.headers["access-control-allow-origin"] == ORIGIN
        invalid = client.post("/api/v1/users/registration", content=b"{", headers=PROBLEM)
        assert (invalid.status_code, invalid.headers.get_list("content-type")) == (422, ["application/problem+json"])
        files = {"task_source_file": ("me.jpg", b"no photo", "image/jpeg")}
        key = {"x-api-key": str(api.invoke("create_api_key", {"name": "kiosk"})["key"])}
        unreadable = client.post(
            "/api/v1/integrations/3d-model-generation/tasks", headers={**key, **PROBLEM}, files=files
        )
        assert (unreadable.status_code, unreadable.json()["code"]) == (415, "NOT_AN_IMAGE")
        large = client.post(TASKS, content=bytes(6_291_457), headers=PROBLEM)
        assert (large.status_code, large.json()["code"]) == (413, "BODY_TOO_LARGE")
        unrouted = client.get("/api/v1/nowhere")
        assert (unrouted.status_code, unrouted.json()) == (403, {"message": "Missing Authentication Token"})


def test_chalice_local_answers_pages_and_heads(servers: Settings) -> None:
    with chalice_local({**servers, "CORS_ORIGINS": ORIGIN}) as client:
        asked = {"origin": ORIGIN, "access-control-request-method": "POST"}
        preflight = client.options("/api/v1/users/registration", headers=asked)
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, ORIGIN)
        head = client.head("/docs")
        assert (head.status_code, head.content, head.headers["content-type"]) == (200, b"", "text/html; charset=utf-8")
        icon = client.get("/api/v1/docs/favicon-32x32.png", headers={"accept": "text/plain"})
        assert (icon.content[:4], icon.headers["content-type"]) == (b"\x89PNG", "image/png")


def test_chalice_local_answers_requests_at_once(servers: Settings) -> None:
    people = [{**WHO, "email": f"ada{number}@example.org"} for number in range(6)]
    with chalice_local(servers) as client, ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda who: client.post("/api/v1/users/registration", json=who), people))
        ids = [answer.json()["user_id"] for answer in made]
        tokens = pool.map(lambda who: client.post("/api/v1/users/authorization", json=who).json(), people)
        mine = [{"access-token": token["access_token"]} for token in tokens]
        shown = list(pool.map(lambda mine: client.get("/api/v1/user-info/profile-info", headers=mine).json(), mine))
    assert len(set(ids)) == 6
    assert [profile["email"] for profile in shown] == [who["email"] for who in people]


def client_of(app: Chalice) -> Client:
    return Client(app, project_dir=str(HERE))


def test_the_test_client_reaches_the_api_without_an_accept_header(app: Chalice) -> None:
    with client_of(app) as client:
        answer = client.http.get("/api/v1/docs/favicon-32x32.png")
        assert (answer.status_code, answer.body[:4]) == (200, b"\x89PNG")
        assert client.http.get("/api/v1/openapi.json").json_body["openapi"].startswith("3.1")


def test_the_test_client_invokes_what_an_operator_does(app: Chalice) -> None:
    person = api.person()
    with client_of(app) as client:
        listed = client.lambda_.invoke("list_users", {})
        assert [user["email"] for user in listed.payload["items"]] == [person.email]
        with pytest.raises(Invalid, match="nonsense"):
            client.lambda_.invoke("list_users", {"nonsense": True})


def test_a_batch_of_the_results_queue_and_a_schedule_reach_their_functions(app: Chalice, servers: Settings) -> None:
    task = api.create(api.person().headers, photo()).json()["request_uuid"]
    report = json.dumps({"request_uuid": task, "status": "IN_PROGRESS", "progress": 40, "stage": "fitting"}).encode()
    with client_of(app) as client:
        batch = rmq_event(api.RESULTS_QUEUE, "/", [RmqMessage(report)], broker_arn="arn:aws:mq:test")
        client.lambda_.invoke("consume_results", batch)
        assert status(servers, task) == "IN_PROGRESS"
        make_old(servers)
        client.lambda_.invoke("reap_tasks", schedule_event("reap_tasks", datetime.now(UTC)))
        assert status(servers, task) == "FAILED"


def make_old(settings: Settings) -> None:
    with postgres(settings, autocommit=True) as conn:
        conn.execute("ALTER TABLE tasks DISABLE TRIGGER tasks_guard")
        conn.execute("UPDATE tasks SET created_at = now() - interval '73 hours'")
        conn.execute("ALTER TABLE tasks ENABLE TRIGGER tasks_guard")


# ---- what is rendered


def test_the_rendered_defaults_are_in_the_project(rendered: Callable[[str], Files]) -> None:
    assert {path: (HERE / path).read_text() for path in rendered("chalice")} == rendered("chalice"), (
        "next: facet deploy render chalice --output infra/chalice --force"
    )


def test_the_app_has_every_route_and_every_function_that_is_not_called_by_http(app: Chalice) -> None:
    functions = [loading.load(name) for name in loading.names()]
    declared = {(f"/api/v1{each.path}", each.method) for function in functions for each in function.endpoints}
    routed = {(path, method) for path, methods in app.routes.items() for method in methods}
    assert declared <= routed
    others = {(path, method) for path, method in routed - declared if method not in ("HEAD", "OPTIONS")}
    assert {path.split("/")[1] for path, _ in others} == {"health", "docs", "openapi.json", "problems"}
    invoked = {handler.name for handler in app.pure_lambda_functions}
    assert invoked == {each.app_name for each in functions if each.is_internal or each.consumes}
    assert {handler.name for handler in app.event_sources} == {each.app_name for each in functions if each.is_scheduled}


def test_those_have_rights_on_the_storage_whose_role_in_the_template_is_not_the_plain_one() -> None:
    resources = parse((PROJECT / "template.yaml").read_text())["Resources"].values()
    functions = [each["Properties"] for each in resources if each["Type"] == "AWS::Serverless::Function"]
    served = {spec.name for spec in load(PROJECT / "template.yaml").functions.values() if spec.routes or spec.queues}
    own = {each["CodeUri"].split("/")[1] for each in functions if "PlainRole" not in str(each["Role"])}
    assert own - served == set(chalice_stack.STORING)


# ---- what is deployed


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `chalice package` makes, without third-party packages: no index is asked."""
    return chalice_package.make(tmp_path_factory.mktemp("chalice"), "sources")


def test_the_package_is_a_template_that_cloudformation_takes(packaged: Path) -> None:
    command = [Path(sys.executable).parent / "cfn-lint", packaged / "sam.json"]
    linted = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout) == (0, "")


def test_the_package_has_each_function_with_its_limits_and_trigger(packaged: Path) -> None:
    resources = json.loads((packaged / "sam.json").read_text())["Resources"]
    specs = load(PROJECT / "template.yaml").functions
    lambdas = {
        each["Properties"]["Handler"].removeprefix("app."): each["Properties"]
        for each in resources.values()
        if "Handler" in each.get("Properties", {})
    }
    api_handler = lambdas.pop("app")
    assert (api_handler["Timeout"], api_handler["MemorySize"]) == (30, 1024)
    for name, properties in lambdas.items():
        assert (properties["Timeout"], properties["MemorySize"]) == (specs[name].timeout, specs[name].memory)
        assert properties.get("ReservedConcurrentExecutions") == specs[name].reserved_concurrency
        schedules = [event["Properties"]["Schedule"] for event in properties.get("Events", {}).values()]
        assert schedules == [schedule.expression for schedule in specs[name].schedules]
    mapping = resources["ConsumeResultsMapping"]
    consumer = resources[mapping["Properties"]["FunctionName"]["Ref"]]
    assert (mapping["Type"], consumer["Properties"]["Handler"]) == (
        "AWS::Lambda::EventSourceMapping",
        "app.consume_results",
    )
    assert mapping["Properties"]["BatchSize"] == specs["consume_results"].queues[0].batch_size


def test_what_the_functions_of_the_package_log_is_forgotten_in_time(packaged: Path) -> None:
    resources = json.loads((packaged / "sam.json").read_text())["Resources"]
    functions = {name for name, each in resources.items() if each["Type"] == "AWS::Serverless::Function"}
    groups = [each["Properties"] for each in resources.values() if each["Type"] == "AWS::Logs::LogGroup"]
    assert {group["LogGroupName"]["Fn::Sub"] for group in groups} == {f"/aws/lambda/${{{name}}}" for name in functions}
    assert all(group["RetentionInDays"] == {"Ref": "LogRetentionDays"} for group in groups)


def test_the_functions_of_the_package_are_in_the_vpc_that_is_named(packaged: Path) -> None:
    template = json.loads((packaged / "sam.json").read_text())
    at = Resolver(template, {"VpcSubnetIds": "subnet-1a,subnet-2b", "VpcSecurityGroupIds": "sg-1a"})
    network = template["Globals"]["Function"]["VpcConfig"]
    assert at.resolve(network) == {"SubnetIds": ["subnet-1a", "subnet-2b"], "SecurityGroupIds": ["sg-1a"]}
    assert Resolver(template, {"VpcSubnetIds": "", "VpcSecurityGroupIds": ""}).resolve(network) is None


def test_the_consumer_has_the_rights_by_which_lambda_reads_the_queue_of_a_private_broker(packaged: Path) -> None:
    resources = json.loads((packaged / "sam.json").read_text())["Resources"]
    source = parse((PROJECT / "template.yaml").read_text())["Resources"]["ConsumeResultsRole"]
    [chalices] = resources["ConsumeResultsRole"]["Properties"]["Policies"]
    needed = {action for action in _actions(source) if action.startswith(("mq:", "secretsmanager:", "ec2:Describe"))}
    assert len(needed) == 6
    assert needed <= _actions(chalices)


def _actions(value: Any) -> set[str]:
    """All that policies somewhere in there allow."""
    if isinstance(value, list):
        return set().union(*map(_actions, value))
    if not isinstance(value, dict):
        return set()
    own = value["Action"] if value.get("Effect") == "Allow" else []
    return {*own}.union(*map(_actions, value.values()))


def test_the_package_asks_for_settings_and_holds_no_secret(packaged: Path) -> None:
    template = json.loads((packaged / "sam.json").read_text())
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    source = deploy.read(PROJECT / "template.yaml")
    secrets = {setting.name for setting in source.secrets}
    assert set(variables) == {setting.name for setting in source.plain} - {"PATH_PREFIX"} | {"FACET_SECRETS"}
    assert secrets & set(variables) == set()
    assert all(each in template["Parameters"]["SecretsArn"]["Description"] for each in secrets)


def test_a_rotated_secret_is_read_when_its_version_is_given(packaged: Path) -> None:
    template = json.loads((packaged / "sam.json").read_text())
    read = template["Globals"]["Function"]["Environment"]["Variables"]["FACET_SECRETS"]["Fn::Sub"]
    assert read == "{{resolve:secretsmanager:${SecretsArn}:SecretString:::${SecretsVersion}}}"
    assert template["Parameters"]["SecretsVersion"]["Default"] == ""


def test_the_zip_has_the_functions_and_what_they_import(packaged: Path) -> None:
    names = set(ZipFile(packaged / "deployment.zip").namelist())
    assert {"app.py", "chalice/app.py", "facet/function.py", "avatars/tasks.py", "migrations/schema.py"} <= names
    assert {f"functions/{name}/handler.py" for name in loading.names()} <= names
