"""Who is let in: access tokens after RFC 8725, and API keys."""

import base64
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jwt
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.rows import DictRow

from facet import auth, db
from facet.auth import USER, Caller, issue_access_token
from facet.function import Function
from facet.http import Headers, Request
from facet.problems import Invalid
from facet.settings import SettingsError, settings
from tests.layers.shapes import Reply, call

CLAIMS: dict[str, Any] = {"iss": "facet", "aud": "facet", "sub": "7", "iat": 0, "exp": 60, "jti": "j"}
TIMES = ("iat", "nbf", "exp")


def request(**headers: str) -> Request:
    return Request("GET", "/", headers=Headers((name.replace("_", "-"), value) for name, value in headers.items()))


def signed(key: str, header: Mapping[str, Any] | None = None, *, algorithm: str = "HS256", **claims: Any) -> str:
    """A token with our claims but for the given ones; None leaves one out, and numbers are seconds from now."""
    given = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    given |= {name: time.time() + given[name] for name in TIMES if isinstance(given.get(name), int)}
    return jwt.encode(given, key, algorithm, headers={"typ": "at+jwt", **(header or {})})


# ---- access tokens


def test_a_token_issued_here_is_accepted_here(secret_key: str) -> None:
    token = issue_access_token(7)
    assert USER(request(access_token=token)) == Caller(user_id=7, api_key_id=None)
    assert USER(request(Authorization=f"Bearer {token}")) == Caller(user_id=7, api_key_id=None)
    assert USER(request(authorization=f"bearer  {token}")).user_id == 7


def test_a_token_says_who_and_until_when_and_nothing_personal(secret_key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCESS_TOKEN_EXPIRE_MINUTES", "20")
    one, two = (jwt.decode_complete(issue_access_token(7), options={"verify_signature": False}) for _ in range(2))
    assert one["header"] == {"alg": "HS256", "typ": "at+jwt"}
    assert one["payload"].keys() == CLAIMS.keys()
    assert one["payload"]["exp"] - one["payload"]["iat"] == 20 * 60
    assert one["payload"]["jti"] != two["payload"]["jti"]


def test_the_access_token_header_comes_before_the_bearer(secret_key: str) -> None:
    one, two = issue_access_token(1), issue_access_token(2)
    assert USER(request(access_token=one, authorization=f"Bearer {two}")).user_id == 1
    with pytest.raises(auth.TokenInvalid):
        USER(request(access_token="", authorization=f"Bearer {two}"))


@pytest.mark.parametrize("headers", [{}, {"authorization": "Basic eDp5"}, {"authorization": ""}])
def test_no_token_is_a_missing_header(secret_key: str, headers: dict[str, str]) -> None:
    with pytest.raises(Invalid) as caught:
        USER(request(**headers))
    assert caught.value.errors == ({"type": "missing", "loc": ["header", "access-token"], "msg": "Field required"},)


def test_an_expired_token_says_so(secret_key: str) -> None:
    with pytest.raises(auth.TokenExpired):
        USER(request(access_token=signed(secret_key, exp=-1)))


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "other"},
        {"aud": "other"},
        {"aud": ["facet", "other"]},
        {"sub": "me"},
        {"sub": "0"},
        {"sub": str(2**63)},
        {"iat": 3600},
        {"nbf": 3600},
        {"exp": "soon"},
        *({name: None} for name in CLAIMS),
    ],
    ids=",".join,
)
def test_a_token_that_claims_anything_else_is_invalid(secret_key: str, claims: dict[str, Any]) -> None:
    with pytest.raises(auth.TokenInvalid):
        USER(request(access_token=signed(secret_key, **claims)))


@pytest.mark.parametrize("typ", ["JWT", "rt+jwt", None])
def test_a_token_of_another_type_is_invalid(secret_key: str, typ: str | None) -> None:
    with pytest.raises(auth.TokenInvalid):
        USER(request(access_token=signed(secret_key, {"typ": typ})))


def unsigned(header: Any, claims: Any) -> str:
    parts = (json.dumps(part).encode() if not isinstance(part, bytes) else part for part in (header, claims, b""))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


@pytest.mark.parametrize("algorithm", ["none", "None", "HS384", "RS256", "", "HS256"])
def test_only_the_one_algorithm_with_our_signature_is_accepted(secret_key: str, algorithm: str) -> None:
    with pytest.raises(auth.TokenInvalid):
        USER(request(access_token=unsigned({"alg": algorithm, "typ": "at+jwt"}, CLAIMS)))


def test_a_longer_hash_with_our_key_is_not_the_one_algorithm(secret_key: str) -> None:
    with pytest.raises(auth.TokenInvalid):
        USER(request(access_token=signed(secret_key, algorithm="HS512")))


def test_a_key_that_the_token_brings_along_is_ignored(secret_key: str) -> None:
    brought = {"jwk": {"kty": "oct", "k": "eA"}, "jku": "http://evil.example/keys", "kid": "../../dev/null"}
    assert USER(request(access_token=signed(secret_key, brought))).user_id == 7
    with pytest.raises(auth.TokenInvalid):
        USER(request(access_token=signed("x" * 64, brought)))


@pytest.mark.parametrize(
    "token",
    ["", "a.b.c", "\xff\xfe", "\ud800", "." * 1000, "x" * 100_000, unsigned(b"[" * 6000, b"{}"), unsigned([], [])],
    ids=["empty", "abc", "latin", "surrogate", "dots", "long", "deep", "lists"],
)
def test_what_is_no_token_is_invalid(secret_key: str, token: str) -> None:
    with pytest.raises(auth.TokenInvalid):
        USER(request(access_token=token))


@given(st.text(max_size=60))
def test_no_text_makes_a_server_error(token: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECRET_KEY", "k" * 64)
        with pytest.raises(auth.TokenInvalid):
            USER(request(access_token=token))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_a_longer_hash_may_be_chosen_and_needs_a_longer_key(
    bare_environment: pytest.MonkeyPatch, algorithm: str
) -> None:
    bare_environment.setenv("HASH_ALGORITHM", algorithm)
    bare_environment.setenv("SECRET_KEY", "k" * 40)
    with pytest.raises(SettingsError, match="SECRET_KEY") as caught:
        issue_access_token(7)
    assert "kkk" not in str(caught.value)
    settings.cache_clear()
    bare_environment.setenv("SECRET_KEY", "k" * 64)
    assert USER(request(access_token=issue_access_token(7))).user_id == 7


def test_without_a_key_nobody_gets_in_and_the_operator_is_told_why(bare_environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="SECRET_KEY"):
        USER(request(access_token=signed("k" * 64)))


@pytest.mark.parametrize(("kept", "accept"), [(True, ""), (False, ""), (True, "application/problem+json")])
def test_the_texts_old_clients_know(secret_key: str, kept: bool, accept: str) -> None:
    app = Function("example")

    @app.endpoint("GET", "/mine", caller=USER, kept=kept)
    def mine() -> None:
        raise AssertionError

    def ask(token: str) -> Reply:
        return call(app, "GET", "/mine", headers={"access-token": token, "accept": accept})

    expired, invalid = ask(signed(secret_key, exp=-1)), ask("x")
    assert (expired.status, expired.json["detail"]) == (401, "Token expired")
    assert expired.headers["www-authenticate"].startswith("Bearer")
    assert (invalid.status, invalid.json["detail"]) == (403, "Invalid token")
    if kept and not accept:
        assert expired.json.keys() == invalid.json.keys() == {"detail"}
    else:
        assert (expired.json["code"], invalid.json["code"]) == ("TOKEN_EXPIRED", "TOKEN_INVALID")


# ---- API keys


class Owner(NamedTuple):
    user_id: int | None
    api_key_id: int | None
    scopes: Sequence[str]


def verify(conn: psycopg.Connection[DictRow], key: str) -> Owner | None:
    row = conn.execute("SELECT %s AS key", [key]).fetchone()
    assert row is not None
    return Owner(None, 3, ["tasks:read"]) if row["key"] == "right" else None


KEYED = auth.api_key(verify, scope="tasks:read")


@pytest.fixture
def with_database(database: dict[str, str], bare_environment: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    for name, value in database.items():
        bare_environment.setenv(name, value)
    db.close()
    yield bare_environment
    db.close()


@pytest.mark.parametrize("mode", ["required", "optional"])
def test_a_right_key_is_its_owner_and_a_wrong_one_is_refused(with_database: pytest.MonkeyPatch, mode: str) -> None:
    with_database.setenv("INTEGRATIONS_AUTH", mode)
    assert KEYED(request(x_api_key="right")) == Caller(user_id=None, api_key_id=3)
    for wrong in ("wrong", "x" * 1000, "\xff", "\ud800"):
        with pytest.raises(auth.ApiKeyInvalid):
            KEYED(request(x_api_key=wrong))


def test_a_key_without_the_scope_is_told_which_one_it_lacks(with_database: pytest.MonkeyPatch) -> None:
    writing = auth.api_key(verify, scope="tasks:write")
    with pytest.raises(auth.ScopeMissing, match="tasks:write"):
        writing(request(x_api_key="right"))
    with pytest.raises(auth.ApiKeyInvalid):
        writing(request(x_api_key="wrong"))


def test_a_required_key_is_missed(bare_environment: pytest.MonkeyPatch) -> None:
    for headers in ({}, {"x_api_key": ""}):
        with pytest.raises(auth.ApiKeyRequired):
            KEYED(request(**headers))


@pytest.mark.parametrize(("mode", "headers"), [("optional", {}), ("off", {}), ("off", {"x_api_key": "wrong"})])
def test_without_required_keys_the_caller_is_nobody(
    bare_environment: pytest.MonkeyPatch, mode: str, headers: dict[str, str]
) -> None:
    bare_environment.setenv("INTEGRATIONS_AUTH", mode)
    assert KEYED(request(**headers)) == Caller(None, None)
