"""Only who holds the keys gets in, and no web page but this machine's own."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.local.edge.conftest import AGENT, AGENT_SECRET, Emulation
from tests.local.services.objects.server import ACCESS, SECRET

PATH = "/2015-03-31/functions/tick/invocations"


def signed(
    edge: Emulation,
    *,
    headers: Mapping[str, str] | None = None,
    service: str = "lambda",
    at: timedelta = timedelta(),
    path: str = PATH,
) -> httpx.Request:
    request = AWSRequest("POST", edge.url + path, dict(headers or {}), b"{}")
    with patch("botocore.auth.get_current_datetime", return_value=datetime.now(UTC) + at):
        SigV4Auth(Credentials(ACCESS, SECRET), service, "us-east-1").add_auth(request)
    return httpx.Request("POST", edge.url + path, headers=dict(request.headers.items()), content=b"{}")


def answered(request: httpx.Request) -> tuple[int, str]:
    """Status and kind of the error."""
    with httpx.Client(trust_env=False) as client:
        response = client.send(request)
    return response.status_code, response.headers.get("x-amzn-errortype", "")


def test_a_signed_request_is_answered(edge: Emulation) -> None:
    assert answered(signed(edge)) == (200, "")


def test_a_path_that_needs_encoding_is_signed_as_it_is_sent(edge: Emulation) -> None:
    arn = "arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Atick"
    assert answered(signed(edge, path=PATH.replace("tick", arn))) == (200, "")


def test_a_request_without_a_signature_is_refused(edge: Emulation) -> None:
    before = len(edge.invocations)
    assert httpx.post(edge.url + PATH, content=b"{}").json()["__type"] == "MissingAuthenticationTokenException"
    assert httpx.post(edge.url + PATH, content=b"{}").status_code == 403
    assert httpx.post(edge.url, data={"Action": "GetCallerIdentity"}).status_code == 403
    assert len(edge.invocations) == before


def test_nothing_that_was_signed_can_be_changed(edge: Emulation) -> None:
    request = signed(edge)
    for changed in (
        httpx.Request("POST", request.url, headers=request.headers, content=b"[]"),
        httpx.Request("GET", request.url, headers=request.headers, content=b"{}"),
        httpx.Request("POST", edge.url + PATH.replace("tick", "echo"), headers=request.headers, content=b"{}"),
        httpx.Request("POST", f"{request.url}?Qualifier=1", headers=request.headers, content=b"{}"),
    ):
        assert answered(changed) == (403, "InvalidSignatureException")


def test_what_is_added_must_be_signed(edge: Emulation) -> None:
    request = signed(edge)
    request.headers["x-amz-invocation-type"] = "Event"
    assert answered(request)[0] == 403


@pytest.mark.parametrize(("minutes", "status"), [(14, 200), (-14, 200), (16, 403), (-16, 403)])
def test_clocks_may_differ_by_a_quarter_of_an_hour(edge: Emulation, minutes: int, status: int) -> None:
    assert answered(signed(edge, at=timedelta(minutes=minutes)))[0] == status


@pytest.mark.parametrize(
    ("access", "secret", "code"),
    [
        (ACCESS, "another-secret", "InvalidSignatureException"),
        ("test", "test", "UnrecognizedClientException"),
        (AGENT, AGENT_SECRET, "UnrecognizedClientException"),
    ],
)
def test_other_keys_invoke_nothing(edge: Emulation, access: str, secret: str, code: str) -> None:
    with pytest.raises(ClientError, match="facet env") as refused:
        edge.client("lambda", access, secret).invoke(FunctionName="tick")
    assert refused.value.response["Error"]["Code"] == code


def test_a_signature_for_one_service_opens_no_other(edge: Emulation) -> None:
    before = len(edge.invocations)
    digest = {"x-amz-content-sha256": hashlib.sha256(b"{}").hexdigest()}
    assert answered(signed(edge, service="s3", headers=digest))[0] >= 400
    assert answered(signed(edge, service="sqs")) == (501, "NotImplemented")
    assert len(edge.invocations) == before


@pytest.mark.parametrize("host", ["attacker.test", "localhost.attacker.test", "127.0.0.1.attacker.test", "10.0.0.1"])
def test_unknown_hosts_are_refused(edge: Emulation, host: str) -> None:
    for request in (signed(edge, headers={"host": host}), httpx.Request("GET", edge.url, headers={"host": host})):
        assert answered(request) == (403, "AccessDeniedException")


@pytest.mark.parametrize("host", ["127.0.0.1:4566", "localhost", "lambda.localhost:4566", "edge.test", "[::1]:4566"])
def test_names_of_this_machine_and_allowed_ones_are_served(edge: Emulation, host: str) -> None:
    assert answered(signed(edge, headers={"host": host})) == (200, "")


@pytest.mark.parametrize(
    "origin", ["https://attacker.test", "null", "http://localhost.attacker.test", "http://[::2]", "http://["]
)
@pytest.mark.parametrize("method", ["OPTIONS", "POST"])
def test_pages_of_other_sites_are_refused(edge: Emulation, origin: str, method: str) -> None:
    request: Any = signed(edge, headers={"origin": origin})
    assert answered(httpx.Request(method, request.url, headers=request.headers, content=b"{}")) == (
        403,
        "AccessDeniedException",
    )
    assert answered(httpx.Request(method, f"{edge.url}/bucket", headers={"origin": origin}))[0] == 403


def test_pages_of_this_machine_are_answered(edge: Emulation) -> None:
    assert answered(signed(edge, headers={"origin": "http://localhost:5173"})) == (200, "")
