"""Who calls: access tokens (JWT, RFC 8725) and API keys."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias
from uuid import uuid4

import jwt

from facet.http import Request
from facet.problems import Invalid, Problem
from facet.settings import SettingsError, settings

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import DictRow

Security = Sequence[Mapping[str, list[str]]]
KeyVerifier: TypeAlias = "Callable[[psycopg.Connection[DictRow], str], KeyOwner | None]"

_ISSUER = "facet"
_TYPE = "at+jwt"
_MAX_KEY = 512
_KEY_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}  # RFC 7518, 3.2: at least as long as the hash


@dataclass(frozen=True)
class Caller:
    """Who owns what a request makes. Both None: integrations without keys (INTEGRATIONS_AUTH=off)."""

    user_id: int | None
    api_key_id: int | None


class KeyOwner(Protocol):
    """What the verification of an API key finds. `scopes` are what the key may do."""

    @property
    def scopes(self) -> Sequence[str]: ...

    @property
    def user_id(self) -> int | None: ...
    @property
    def api_key_id(self) -> int | None: ...


class Authenticator(Protocol):
    """Finds the caller of a request or raises the Problem to answer with."""

    security: Security  # OpenAPI: any one of these
    problems: tuple[type[Problem], ...]

    def __call__(self, request: Request) -> Caller: ...


class TokenExpired(Problem):
    """The access token has expired. Exchange your refresh token for the next pair, or sign in again."""

    status, code, title = 401, "TOKEN_EXPIRED", "Token expired"
    headers: Mapping[str, str] = {
        "WWW-Authenticate": 'Bearer error="invalid_token", error_description="The token expired"'
    }


class TokenInvalid(Problem):
    """The access token is not one of ours, was changed, or its user is gone. Sign in again, do not refresh."""

    status, code, title = 403, "TOKEN_INVALID", "Invalid token"


class ApiKeyRequired(Problem):
    """The request has no `X-API-Key` header. Keys are made with `POST /api-keys` or by the operator."""

    status, code, title = 401, "API_KEY_REQUIRED", "An API key is required"
    headers: Mapping[str, str] = {"WWW-Authenticate": "ApiKey"}


class ApiKeyInvalid(Problem):
    """The key in `X-API-Key` is unknown, expired or revoked. Check that it was copied whole, or make another."""

    status, code, title = 401, "API_KEY_INVALID", "The API key is not valid"
    headers: Mapping[str, str] = {"WWW-Authenticate": "ApiKey"}


class ScopeMissing(Problem):
    """The API key is valid but was not given the scope that `detail` names. Use or make a key that has it."""

    status, code, title = 403, "SCOPE_MISSING", "The API key may not do this"


def issue_access_token(user_id: int) -> str:
    """A signed access token of ACCESS_TOKEN_EXPIRE_MINUTES. Raises SettingsError without a usable SECRET_KEY."""
    now = datetime.now(UTC)
    claims = {
        "iss": _ISSUER,
        "aud": _ISSUER,
        "sub": str(user_id),
        "iat": now,
        "exp": now + timedelta(minutes=settings().access_token_expire_minutes),
        "jti": uuid4().hex,
    }
    return jwt.encode(claims, _key(), settings().hash_algorithm, headers={"typ": _TYPE})


def _key() -> str:
    key, algorithm = settings().secret_key.get_secret_value(), settings().hash_algorithm
    if len(key.encode()) < _KEY_BYTES[algorithm]:
        raise SettingsError(f"SECRET_KEY must have at least {_KEY_BYTES[algorithm]} bytes for {algorithm}")
    return key


class _User:
    """The holder of an access token, in `access-token` or, where that is absent, in `Authorization: Bearer`."""

    security: Security = (
        {"accessToken": []},
        {"bearer": []},
    )
    problems: tuple[type[Problem], ...] = (Invalid, TokenExpired, TokenInvalid)

    def __call__(self, request: Request) -> Caller:
        token = request.headers.get("access-token", _bearer(request))
        if token is None:
            raise Invalid.missing("header", "access-token")
        try:
            return Caller(user_id=_user_id(_claims(token)["sub"]), api_key_id=None)
        except jwt.ExpiredSignatureError:
            raise TokenExpired() from None
        except (jwt.InvalidTokenError, ValueError, RecursionError):
            raise TokenInvalid() from None


def _user_id(subject: str) -> int:
    """The subject as a database's bigint. Raises ValueError."""
    number = int(subject)
    if not 0 < number < 2**63:
        raise ValueError("the subject is no user id")
    return number


def _bearer(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _claims(token: str) -> dict[str, Any]:
    decoded = jwt.decode_complete(
        token,
        _key(),
        algorithms=[settings().hash_algorithm],
        audience=_ISSUER,
        issuer=_ISSUER,
        options={"require": ["exp", "iat", "sub", "jti", "iss", "aud"], "strict_aud": True},
    )
    if str(decoded["header"].get("typ", "")).lower() != _TYPE:
        raise jwt.InvalidTokenError("not an access token")
    return dict(decoded["payload"])


USER: Authenticator = _User()


class _ApiKey:
    security: Security = ({"apiKey": []},)
    problems: tuple[type[Problem], ...] = (ApiKeyRequired, ApiKeyInvalid, ScopeMissing)

    def __init__(self, verify: "KeyVerifier", scope: str) -> None:
        self._verify = verify
        self._scope = scope

    def __call__(self, request: Request) -> Caller:
        mode, key = settings().integrations_auth, request.headers.get("x-api-key")
        if mode == "off" or (mode == "optional" and not key):
            return Caller(None, None)
        if not key:
            raise ApiKeyRequired()
        if len(key) > _MAX_KEY or not key.isascii():
            raise ApiKeyInvalid()
        from facet import db  # users' tokens need no database

        with db.transaction() as conn:
            owner = self._verify(conn, key)
        if owner is None:
            raise ApiKeyInvalid()
        if self._scope not in owner.scopes:
            raise ScopeMissing(f"The API key lacks the scope {self._scope}")
        return Caller(owner.user_id, owner.api_key_id)


def api_key(verify: "KeyVerifier", *, scope: str) -> Authenticator:
    """An authenticator by `X-API-Key`, as INTEGRATIONS_AUTH says. `verify` finds a key's owner in the database."""
    return _ApiKey(verify, scope)
