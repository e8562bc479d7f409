"""CORS documents and what they admit."""

import pytest

from local.services.objects import cors
from local.services.objects.errors import S3Error


def document(*rules: str) -> bytes:
    inner = "".join(f"<CORSRule>{rule}</CORSRule>" for rule in rules)
    return f'<CORSConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{inner}</CORSConfiguration>'.encode()


def rule(origin: str = "http://a.test", method: str = "GET", further: str = "") -> str:
    return f"<AllowedOrigin>{origin}</AllowedOrigin><AllowedMethod>{method}</AllowedMethod>{further}"


@pytest.mark.parametrize(
    ("pattern", "origin", "admitted"),
    [
        ("http://a.test", "http://a.test", True),
        ("http://a.test", "http://a.test.evil.test", False),
        ("http://a.test", "https://a.test", False),
        ("http://*.a.test", "http://x.a.test", True),
        ("http://*.a.test", "http://a.test", False),
        ("http://a.test", "http://aXtest", False),
        ("*", "http://anything.test", True),
    ],
)
def test_an_origin_is_admitted_by_a_pattern(pattern: str, origin: str, admitted: bool) -> None:
    headers = cors.headers(cors.parse(document(rule(pattern))), "GET", origin)
    assert bool(headers) is admitted


def test_credentials_are_for_named_origins_only() -> None:
    named = cors.headers(cors.parse(document(rule())), "GET", "http://a.test")
    anyone = cors.headers(cors.parse(document(rule("*"))), "GET", "http://a.test")
    assert (named["Access-Control-Allow-Origin"], named["Access-Control-Allow-Credentials"]) == (
        "http://a.test",
        "true",
    )
    assert anyone["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in anyone


def test_a_preflight_is_about_origin_method_and_every_header() -> None:
    rules = cors.parse(document(rule(method="PUT", further="<AllowedHeader>X-Amz-*</AllowedHeader>"), rule()))
    asked = {"origin": "http://a.test", "access-control-request-method": "PUT"}
    assert cors.preflight(rules, {**asked, "access-control-request-headers": "x-amz-date"})
    for other in (
        {"access-control-request-headers": "x-amz-date, content-type"},
        {"access-control-request-method": "DELETE"},
        {"origin": "http://b.test"},
    ):
        with pytest.raises(S3Error) as refused:
            cors.preflight(rules, {**asked, **other})
        assert refused.value.code == "AccessForbidden"
    with pytest.raises(S3Error) as unclear:
        cors.preflight(rules, {"origin": "http://a.test"})
    assert unclear.value.code == "BadRequest"


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        document(),
        document(*[rule()] * 101),
        document("<AllowedMethod>GET</AllowedMethod>"),
        document("<AllowedOrigin>*</AllowedOrigin>"),
        document(rule(method="PATCH")),
        document(rule(origin="http://*.*.test")),
        document(rule(further="<AllowedHeader>x-*-*</AllowedHeader>")),
        document(rule(further="<ExposeHeader>a\nSet-Cookie: b</ExposeHeader>")),
        document(rule(further="<MaxAgeSeconds>soon</MaxAgeSeconds>")),
    ],
)
def test_a_configuration_must_make_sense(broken: bytes) -> None:
    with pytest.raises(S3Error) as refused:
        cors.parse(broken)
    assert refused.value.status == 400
