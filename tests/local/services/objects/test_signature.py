"""Signatures: of now, of everything that matters, and of nothing else."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.services.objects import request, signature
from local.services.objects.errors import S3Error
from local.services.objects.keys import Key
from local.services.objects.request import Message, Request

NOW = 1_770_000_000.0
KEY = Key.model_validate({"access_key": "owner", "secret_key": "secret-of-the-owner"})
KEYS = {"owner": KEY}


async def no_body() -> Message:
    raise AssertionError("a signature needs no body")


def scope(method: str, url: str, headers: Mapping[str, str]) -> dict[str, Any]:
    parts = urlsplit(url)
    raw = [(name.lower().encode(), value.encode()) for name, value in {"host": parts.netloc, **headers}.items()]
    return {
        "method": method,
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "headers": raw,
    }


def signed(*, expires: int | None = None) -> dict[str, Any]:
    """The ASGI scope of a signed request, presigned when it expires."""
    address = "http://s3.test/bucket/a%20key?prefix=%C3%BC&empty="
    unsigned = AWSRequest("GET", address, {"content-type": "text/plain"})
    credentials = Credentials("owner", "secret-of-the-owner")
    signer = (
        S3SigV4Auth(credentials, "s3", "us-east-1")
        if expires is None
        else S3SigV4QueryAuth(credentials, "s3", "us-east-1", expires)
    )
    with patch("botocore.auth.get_current_datetime", return_value=datetime.fromtimestamp(NOW, UTC)):
        signer.add_auth(unsigned)
    return scope("GET", str(unsigned.url), dict(unsigned.headers.items()))


def refusal(of: Mapping[str, Any], now: float = NOW) -> str:
    """The code with which a request is refused; empty when it is not."""
    try:
        signature.verify(read(of), KEYS, now=now)
    except S3Error as exc:
        return exc.code
    return ""


def read(of: Mapping[str, Any]) -> Request:
    return request.read(dict(of), no_body)


@pytest.mark.parametrize("expires", [None, 60])
def test_what_botocore_signed_is_accepted(expires: int | None) -> None:
    signer = signature.verify(read(signed(expires=expires)), KEYS, now=NOW)
    assert signer.key == KEY


@pytest.mark.parametrize(
    ("away", "expected"), [(899, ""), (-899, ""), (901, "RequestTimeTooSkewed"), (-901, "RequestTimeTooSkewed")]
)
def test_clocks_may_differ_by_a_quarter_of_an_hour(away: float, expected: str) -> None:
    assert refusal(signed(), NOW + away) == expected


@pytest.mark.parametrize(("later", "expected"), [(60, ""), (61, "AccessDenied"), (-899, ""), (-901, "AccessDenied")])
def test_a_presigned_request_is_good_until_it_expires(later: float, expected: str) -> None:
    assert refusal(signed(expires=60), NOW + later) == expected


def header(name: bytes, value: bytes) -> Callable[[dict[str, Any]], None]:
    def change(of: dict[str, Any]) -> None:
        of["headers"] = [(key, value if key == name else old) for key, old in of["headers"]]

    return change


def added(name: bytes, value: bytes) -> Callable[[dict[str, Any]], None]:
    return lambda of: of["headers"].append((name, value))


CHANGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "method": lambda of: of.update(method="PUT"),
    "path": lambda of: of.update(raw_path=b"/bucket/another"),
    "query": lambda of: of.update(query_string=of["query_string"].replace(b"prefix=", b"prefix=x")),
    "another parameter": lambda of: of.update(query_string=of["query_string"] + b"&acl="),
    "host": header(b"host", b"elsewhere.test"),
    "a signed header": header(b"content-type", b"text/html"),
    "a header twice": added(b"content-type", b"text/html"),
}


@pytest.mark.parametrize("expires", [None, 60])
@pytest.mark.parametrize("change", CHANGES)
def test_nothing_that_was_signed_can_be_changed(change: str, expires: int | None) -> None:
    of = signed(expires=expires)
    CHANGES[change](of)
    assert refusal(of) == "SignatureDoesNotMatch"


@pytest.mark.parametrize("name", [b"x-amz-copy-source", b"x-amz-meta-a", b"x-amz-acl"])
@pytest.mark.parametrize("expires", [None, 60])
def test_no_meaning_can_be_added_to_what_was_signed(name: bytes, expires: int | None) -> None:
    of = signed(expires=expires)
    added(name, b"/private/key")(of)
    assert refusal(of) == "AccessDenied"


def test_headers_of_proxies_and_browsers_do_not_matter() -> None:
    of = signed(expires=60)
    for name in (b"user-agent", b"x-forwarded-for", b"accept", b"origin"):
        added(name, b"anything")(of)
    assert refusal(of) == ""


def test_the_address_may_be_written_otherwise_when_it_says_the_same() -> None:
    of = signed(expires=60)
    of["raw_path"] = b"/%62ucket/a%20k%65y"
    of["query_string"] = of["query_string"].replace(b"%C3%BC", b"%c3%bc")
    assert refusal(of) == ""


@pytest.mark.parametrize(
    ("part", "instead"),
    [
        (b"us-east-1", b"eu-west-1"),
        (b"%2Fs3%2F", b"%2Fec2%2F"),
        (b"aws4_request", b"aws5_request"),
        (b"X-Amz-Credential=owner%2F2", b"X-Amz-Credential=owner%2F1"),
        (b"%3Bhost", b"%3Baccept"),
        (b"X-Amz-Expires=60", b"X-Amz-Expires=600"),
        (b"X-Amz-Expires=60", b"X-Amz-Expires=-1"),
        (b"X-Amz-Expires=60", b"X-Amz-Expires=1e3"),
        (b"X-Amz-Date=2", b"X-Amz-Date=3"),
        (b"AWS4-HMAC-SHA256", b"AWS4-HMAC-SHA1"),
        (b"&X-Amz-Signature=", b"&X-Amz-Other="),
        (b"&X-Amz-Signature=", b"&X-Amz-Signature=%C3%BC"),
    ],
)
def test_a_credential_is_for_its_day_region_and_service(part: bytes, instead: bytes) -> None:
    of = signed(expires=60)
    assert part in of["query_string"]
    of["query_string"] = of["query_string"].replace(part, instead)
    assert refusal(of) != ""


@pytest.mark.parametrize("timestamp", ["20261301T000000Z", "20260132T000000Z", "2026-01-01", "", "20260101T000000"])
def test_a_date_must_be_one(timestamp: str) -> None:
    of = signed()
    day = timestamp[:8].encode()
    header(b"x-amz-date", timestamp.encode())(of)
    credential = next(value for name, value in of["headers"] if name == b"authorization")
    header(b"authorization", credential.replace(b"owner/20260202", b"owner/" + day))(of)
    assert refusal(of) == "AccessDenied"


def test_an_access_key_may_hold_a_slash() -> None:
    key = Key.model_validate({"access_key": "team/agent", "secret_key": "secret-of-the-owner"})
    unsigned = AWSRequest("GET", "http://s3.test/bucket/key")
    S3SigV4Auth(Credentials("team/agent", "secret-of-the-owner"), "s3", "us-east-1").add_auth(unsigned)
    of = scope("GET", str(unsigned.url), dict(unsigned.headers.items()))
    now = datetime.now(UTC).timestamp()
    assert signature.verify(read(of), {"team/agent": key}, now=now).key == key
