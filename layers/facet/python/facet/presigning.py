"""Presigned S3 URLs by botocore's signer alone; imported where it is used, for it costs 40 ms."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, cast

from botocore.auth import SIGV4_TIMESTAMP, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest

from facet.settings import settings

if TYPE_CHECKING:
    from botocore.credentials import ReadOnlyCredentials

LONGEST_EXPIRY = 7 * 24 * 3600  # seconds; the limit of Signature Version 4


class _Credentials(NamedTuple):
    """What the signer reads of botocore's own, whose module takes 8 ms of a cold start more."""

    access_key: str
    secret_key: str
    token: str | None = None


class _QueryAuth(S3SigV4QueryAuth):
    """The signer, with a time of signing that can be chosen."""

    def __init__(self, credentials: _Credentials, *, expires_in: int, signed_at: datetime | None) -> None:
        super().__init__(cast("ReadOnlyCredentials", credentials), "s3", settings().minio_region, expires=expires_in)
        self._signed_at = signed_at

    def _modify_request_before_signing(self, request: AWSRequest) -> None:
        if self._signed_at is not None:
            request.context["timestamp"] = self._signed_at.astimezone(UTC).strftime(SIGV4_TIMESTAMP)
        super()._modify_request_before_signing(request)  # type: ignore[misc]  # private, so not in the stubs


def presign(
    method: str,
    url: str,
    *,
    expires_in: int,
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    signed_at: datetime | None = None,
) -> str:
    """`url` with the right to send this method, with these headers, for `expires_in` seconds from `signed_at` (now)."""
    if not 1 <= expires_in <= LONGEST_EXPIRY:
        raise ValueError(f"a presigned URL lives 1 to {LONGEST_EXPIRY} seconds, not {expires_in}")
    request = AWSRequest(method, url, params=dict(params or {}), headers=dict(headers or {}))
    _QueryAuth(_credentials(), expires_in=expires_in, signed_at=signed_at).add_auth(request)
    return str(request.url)


def _credentials() -> _Credentials:
    """Those made for signing, if there are any: a URL lives no longer than a role's session."""
    at = settings()
    if at.minio_signing_access_key is not None:
        return _Credentials(at.minio_signing_access_key, at.minio_signing_secret_key.get_secret_value())
    token = at.minio_session_token.get_secret_value() if at.minio_session_token else None
    return _Credentials(at.minio_access_key, at.minio_secret_key.get_secret_value(), token)
