"""The documentation is what the functions declare, and its page works wherever it is mounted."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from openapi_spec_validator import validate

from avatars import contracts, legacy_preparation
from facet.settings import settings
from functions.api_docs.handler import app
from infra import openapi, problems
from infra.openapi import TARGET
from tests.layers import examples
from tests.layers.shapes import Reply, call

ROOT = Path(__file__).parents[2]
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture(autouse=True)
def default_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH_PREFIX", "/api/v1")
    settings.cache_clear()


@pytest.fixture(scope="module")
def written() -> Mapping[Path, str]:
    return openapi.written()


def get(path: str, **headers: str) -> Reply:
    return call(app, "GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize("target", [TARGET, problems.TARGET, problems.README], ids=lambda target: target.name)
def test_what_is_stored_is_what_the_functions_declare(written: Mapping[Path, str], target: Path) -> None:
    assert target.read_text(encoding="utf-8") == written[target], "run `make openapi`"


def test_every_example_fits_its_schema() -> None:
    assert examples.mismatches(json.loads(TARGET.read_text(encoding="utf-8"))) == []


def test_the_document_is_valid_and_served() -> None:
    reply = get("/openapi.json")
    assert reply.headers["content-type"] == "application/json"
    validate(reply.json)
    assert reply.json["paths"] == json.loads(TARGET.read_text(encoding="utf-8"))["paths"]


@pytest.mark.parametrize(("prefix", "server"), [("/v2/", "/v2"), ("/", "/")])
def test_the_document_names_the_prefix_it_is_served_under(
    monkeypatch: pytest.MonkeyPatch, prefix: str, server: str
) -> None:
    monkeypatch.setenv("PATH_PREFIX", prefix)
    settings.cache_clear()
    assert get("/openapi.json").json["servers"] == [{"url": server}]


@pytest.mark.parametrize("mount", ["", "/api/v1", "/fn/api_docs", "/fn/api_docs/api/v1"])
def test_the_page_finds_its_files_and_the_document_wherever_it_is(mount: str) -> None:
    below = mount.removeprefix("/fn/api_docs")
    page = get(f"{below}/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    start = get(f"{below}/docs/start.js").body.decode()
    links = re.findall(r'(?:src|href)="([^"]+)"', page.body.decode()) + re.findall(r'url: "([^"]+)"', start)
    assert len(links) >= 6
    for link in links:
        target = urljoin(f"http://localhost:8080{mount}/docs", link).removeprefix("http://localhost:8080")
        assert target.startswith(f"{mount}/")
        assert get(target.removeprefix(mount.removesuffix(below))).status == 200, link


def test_the_page_runs_nothing_that_is_not_ours() -> None:
    page = get("/docs")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert re.findall(r"<script(?![^>]*src=)", page.body.decode()) == []
    assert "//" not in re.sub(r"<!doctype html>", "", page.body.decode())


def test_the_page_may_follow_the_way_to_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "connect-src 'self'" in get("/docs").headers["content-security-policy"]
    monkeypatch.setenv("MINIO_PUBLIC_URL", "https://storage.example.com")
    settings.cache_clear()
    assert "connect-src 'self' https://storage.example.com" in get("/docs").headers["content-security-policy"]


@pytest.mark.parametrize(
    ("asset", "content_type", "begins"),
    [
        ("swagger-ui-bundle.js", "text/javascript; charset=utf-8", b"/*!"),
        ("swagger-ui.css", "text/css; charset=utf-8", b".swagger-ui"),
        ("favicon-32x32.png", "image/png", b"\x89PNG"),
    ],
)
def test_the_files_are_the_packages(asset: str, content_type: str, begins: bytes) -> None:
    reply = get(f"/docs/{asset}")
    assert reply.headers["content-type"] == content_type
    assert reply.body.startswith(begins)


@pytest.mark.parametrize(
    "path", ["/docs/handler.py", "/docs/..%2Fhandler.py", "/docs/openapi.json", "/docs/swagger-ui.js"]
)
def test_nothing_else_is_served(path: str) -> None:
    assert get(path).status == 404


@pytest.mark.parametrize(
    ("path", "caching"),
    [
        ("/openapi.json", "no-cache"),
        ("/docs", "no-cache"),
        ("/docs/swagger-ui.css", "max-age=86400"),
        ("/problems", "no-cache"),
        ("/problems/not-found", "no-cache"),
    ],
)
def test_a_client_that_has_it_is_not_sent_it_again(path: str, caching: str) -> None:
    first = get(path)
    assert caching in first.headers["cache-control"]
    again = get(path, if_none_match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["cache-control"] == first.headers["cache-control"]
    assert get(path, if_none_match='"other"').status == 200


def test_serving_the_files_imports_no_code_of_their_package() -> None:
    program = (
        "import sys; from functions.api_docs.handler import app, _asset; _asset('swagger-ui.css')\n"
        "assert not {'swagger_ui', 'jinja2', 'jwt', 'psycopg', 'boto3', 'pika'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": ":".join(sys.path)}, check=True)


def test_every_path_parameter_of_the_document_is_declared(written: Mapping[Path, str]) -> None:
    document: dict[str, Any] = json.loads(written[TARGET])
    for path, operations in document["paths"].items():
        for operation in operations.values():
            declared = [p["name"] for p in operation.get("parameters", []) if p["in"] == "path"]
            assert declared == re.findall(r"\{(\w+)\}", path)


def test_no_two_operations_have_the_same_name(written: Mapping[Path, str]) -> None:
    document: dict[str, Any] = json.loads(written[TARGET])
    names = [operation["operationId"] for operations in document["paths"].values() for operation in operations.values()]
    assert len(names) == len(set(names))


def described() -> list[dict[str, Any]]:
    return list(json.loads(problems.TARGET.read_text(encoding="utf-8"))["items"])


def test_every_problem_is_listed() -> None:
    reply = get("/problems")
    assert (reply.headers["content-type"], reply.headers["vary"]) == ("application/json", "accept")
    assert reply.json["items"] == described()


def test_every_problem_says_when_it_happens() -> None:
    assert [each["code"] for each in described() if len(each["description"]) < 20] == []


def test_the_type_of_a_problem_leads_to_what_it_means() -> None:
    refused = get("/problems/no-such-code")
    assert (refused.status, refused.headers["content-type"]) == (404, "application/problem+json")
    found = get(
        urljoin("http://localhost/problems/no-such-code", refused.json["type"]).removeprefix("http://localhost")
    )
    assert (found.status, found.json["code"]) == (200, refused.json["code"])


@pytest.mark.parametrize("name", ["NOT_FOUND", "not-found", "Not-Found", "not_found"])
@pytest.mark.parametrize("base", ["", "/api/v1"])
def test_a_problem_is_found_by_its_code_or_its_type_in_any_case(base: str, name: str) -> None:
    assert get(f"{base}/problems/{name}").json["status"] == 404


@pytest.mark.parametrize("path", ["/problems", "/problems/task-not-found"])
def test_browsers_get_a_page_without_scripts(path: str) -> None:
    page = get(path, accept=BROWSER)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert b"TASK_NOT_FOUND" in page.body
    assert b"<script" not in page.body


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/json, text/html", "text/html;q=0, */*"])
def test_programs_get_json(accept: str) -> None:
    assert get("/problems/not-found", accept=accept).headers["content-type"] == "application/json"


@pytest.mark.parametrize("mount", ["", "/api/v1", "/fn/api_docs"])
def test_the_pages_of_problems_lead_to_each_other(mount: str) -> None:
    below = mount.removeprefix("/fn/api_docs")
    [first, *_] = re.findall(r'href="([^"]+)"', get(f"{below}/problems", accept=BROWSER).body.decode())
    there = urljoin(f"http://localhost{mount}/problems", first)
    [back] = re.findall(r'href="([^"]+)"', get(f"{below}/problems/not-found", accept=BROWSER).body.decode())
    assert urljoin(there, back) == f"http://localhost{mount}/problems"
    assert get(there.removeprefix(f"http://localhost{mount.removesuffix(below)}")).status == 200


def calls(*folders: str) -> Iterator[ast.Call]:
    for folder in folders:
        for module in (ROOT / folder).glob("*.py"):
            yield from (node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call))


def test_every_problem_of_the_gateway_is_described() -> None:
    found = {
        (code.value, status.value)
        for call in calls("local/gateway")
        if isinstance(call.func, ast.Name) and call.func.id == "problem" and len(call.args) == 4
        for status, code in [(call.args[0], call.args[3])]
        if isinstance(status, ast.Constant) and isinstance(code, ast.Constant)
    }
    assert len(found) >= 10
    assert found <= {(each["code"], each["status"]) for each in described()}


def test_every_failure_of_a_task_is_described() -> None:
    ours = {
        word.value.value
        for call in calls("shared/avatars")
        for word in call.keywords
        if word.arg == "code" and isinstance(word.value, ast.Constant)
    }
    assert ours >= {"AGENT_LOST", "RESULT_INVALID"}
    agents = set(re.findall(r'^    code = "(\w+)"', (ROOT / "local/agent/photo.py").read_text(), re.MULTILINE))
    assert "NO_FACE" in agents
    assert ours | agents | set(legacy_preparation.FAILURES) | {contracts.DEFAULT_FAILURE} <= set(problems.FAILURES)
