"""The documentation is what the functions declare, and its page works wherever it is mounted."""

import json
import re
import subprocess
import sys
from typing import Any
from urllib.parse import urljoin

import pytest
from openapi_spec_validator import validate

from facet.settings import settings
from functions.api_docs.handler import app
from infra.openapi import TARGET, rendered
from tests.layers.shapes import Reply, call


@pytest.fixture(autouse=True)
def default_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH_PREFIX", "/api/v1")
    settings.cache_clear()


def get(path: str, **headers: str) -> Reply:
    return call(app, "GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_the_stored_document_is_what_the_functions_declare() -> None:
    assert TARGET.read_text(encoding="utf-8") == rendered(), "run `make openapi`"


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
    [("/openapi.json", "no-cache"), ("/docs", "no-cache"), ("/docs/swagger-ui.css", "max-age=86400")],
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


def test_every_path_parameter_of_the_document_is_declared() -> None:
    document: dict[str, Any] = json.loads(rendered())
    for path, operations in document["paths"].items():
        for operation in operations.values():
            declared = [p["name"] for p in operation.get("parameters", []) if p["in"] == "path"]
            assert declared == re.findall(r"\{(\w+)\}", path)


def test_no_two_operations_have_the_same_name() -> None:
    document: dict[str, Any] = json.loads(rendered())
    names = [operation["operationId"] for operations in document["paths"].values() for operation in operations.values()]
    assert len(names) == len(set(names))
