"""Objects in S3, against the local S3 server; moto and stubs where a server would have to misbehave."""

import hashlib
import http.server
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

import httpx
import hypothesis
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from facet import objects
from facet.settings import settings
from tests.conftest import BUSY, Settings

GLB = b"glTF" + bytes(range(256)) * 40


def export(values: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    forget()


def forget() -> None:
    settings.cache_clear()
    objects._client.cache_clear()


@pytest.fixture(autouse=True)
def clients() -> Iterator[None]:
    yield
    if objects._client.cache_info().currsize:
        objects._client().close()
    forget()


@pytest.fixture
def bucket(buckets: Settings, worker: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket of the local S3 server."""
    export(buckets, monkeypatch)
    name = f"{worker}-objects"
    objects.ensure_bucket(name)
    for key in objects.list_keys(name):
        objects.delete(name, key)
    return name


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of an S3 that is not there."""
    keys = {"MINIO_ACCESS_KEY": "access", "MINIO_SECRET_KEY": "secret-of-the-storage"}
    export({"MINIO_HOST": "127.0.0.1:1", "MINIO_PUBLIC_URL": "https://storage.example.com", **keys}, monkeypatch)


# ---- Objects --------------------------------------------------------------------------------------------------------
def test_an_object_is_stored_described_read_and_deleted(bucket: str) -> None:
    objects.put(bucket, "7/avatar.glb", GLB, content_type="model/gltf-binary")
    assert objects.list_keys(bucket) == ["7/avatar.glb"]
    found = objects.head(bucket, "7/avatar.glb")
    assert (found.size, found.content_type) == (len(GLB), "model/gltf-binary")
    assert abs((datetime.now(UTC) - found.last_modified).total_seconds()) < 60
    assert found.etag
    assert '"' not in found.etag
    assert objects.read(bucket, "7/avatar.glb", limit=len(GLB)) == GLB
    objects.delete(bucket, "7/avatar.glb")
    assert objects.list_keys(bucket) == []


def test_deleting_what_is_gone_is_fine(bucket: str) -> None:
    objects.delete(bucket, "never-there")


def test_what_does_not_exist_is_not_found(bucket: str) -> None:
    with pytest.raises(objects.NotFound, match=f"{bucket}/missing"):
        objects.read(bucket, "missing", limit=1)
    with pytest.raises(objects.NotFound):
        objects.head(bucket, "missing")
    with pytest.raises(objects.NotFound):
        objects.list_keys(f"{bucket}-missing")


def test_an_object_larger_than_the_limit_is_not_read(bucket: str) -> None:
    objects.put(bucket, "large", GLB, content_type="application/octet-stream")
    with pytest.raises(objects.TooLarge, match=str(len(GLB))):
        objects.read(bucket, "large", limit=len(GLB) - 1)
    assert objects.read(bucket, "large", limit=len(GLB)) == GLB


@mock_aws
def test_a_bucket_of_several_pages_is_listed_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    export({"MINIO_HOST": "https://s3.amazonaws.com", "MINIO_ACCESS_KEY": "a", "MINIO_SECRET_KEY": "b"}, monkeypatch)
    objects.ensure_bucket("many")
    keys = [f"{number:04}" for number in range(1001)]
    for key in keys:
        objects.put("many", key, b".", content_type="text/plain")
    assert objects.list_keys("many") == keys


# ---- Presigned URLs -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("key", ["photo.png", "a folder/ünïcode & co+=%.png", "tilde~(1)'.glb", "a//b"])
def test_a_presigned_url_opens_its_object(bucket: str, key: str) -> None:
    objects.put(bucket, key, GLB, content_type="model/gltf-binary")
    answer = httpx.get(objects.presign_get(bucket, key, expires_in=60))
    assert (answer.status_code, answer.content) == (200, GLB)
    assert "content-disposition" not in answer.headers


def test_a_presigned_url_can_name_the_file_it_is_saved_as(bucket: str) -> None:
    objects.put(bucket, "model", GLB, content_type="model/gltf-binary")
    url = objects.presign_get(bucket, "model", expires_in=60, filename='my "avätar".glb')
    disposition = httpx.get(url).headers["content-disposition"]
    assert disposition == "attachment; filename=\"my__av_tar_.glb\"; filename*=UTF-8''my%20%22av%C3%A4tar%22.glb"


def test_a_presigned_url_opens_nothing_else(bucket: str) -> None:
    objects.put(bucket, "mine", GLB, content_type="model/gltf-binary")
    objects.put(bucket, "theirs", GLB, content_type="model/gltf-binary")
    url = objects.presign_get(bucket, "mine", expires_in=60)
    assert httpx.get(url.replace("/mine?", "/theirs?")).status_code == 403
    assert httpx.get(url.replace("X-Amz-Expires=60", "X-Amz-Expires=600")).status_code == 403
    assert httpx.put(url, content=b"overwritten").status_code == 403
    assert httpx.get(url.partition("?")[0]).status_code == 403


def test_a_presigned_url_ends(bucket: str) -> None:
    objects.put(bucket, "brief", GLB, content_type="model/gltf-binary")
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    with patch("botocore.auth.get_current_datetime", lambda *_, **__: long_ago):
        url = objects.presign_get(bucket, "brief", expires_in=3600)
    assert "X-Amz-Date=20260101T000000Z" in url
    assert httpx.get(url).status_code == 403


def test_agents_and_clients_get_the_address_each_can_reach(nowhere: None) -> None:
    agents = objects.presign_get("b", "k", expires_in=60, audience="agent")
    clients = objects.presign_get("b", "k", expires_in=60)
    assert agents.startswith("http://127.0.0.1:1/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&")
    assert clients.startswith("https://storage.example.com/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&")


@pytest.mark.parametrize("expires_in", [0, -1, 7 * 24 * 3600 + 1])
def test_a_life_that_no_server_accepts_is_refused(nowhere: None, expires_in: int) -> None:
    with pytest.raises(ValueError, match="604800"):
        objects.presign_get("b", "k", expires_in=expires_in)


@given(
    key=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30),
    expires_in=st.integers(1, 604800),
    filename=st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)),
)
@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, *BUSY])
def test_a_presigned_url_is_the_one_boto3_makes(nowhere: None, key: str, expires_in: int, filename: str | None) -> None:
    disposition = {"ResponseContentDisposition": objects._attachment(filename)} if filename else {}
    params = {"Bucket": "b", "Key": key, **disposition}
    with patch("botocore.auth.get_current_datetime", lambda *_, **__: datetime(2026, 11, 22, tzinfo=UTC)):
        ours = objects.presign_get("b", key, expires_in=expires_in, audience="agent", filename=filename)
        theirs = objects._client().generate_presigned_url("get_object", Params=params, ExpiresIn=expires_in)
    assert ours == theirs


ROLE = {
    "AWS_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "ASIAROLE",
    "AWS_SECRET_ACCESS_KEY": "secret-of-the-role",
    "AWS_SESSION_TOKEN": "token/of+the=session",
}
STORAGE = ("MINIO_HOST", "MINIO_PUBLIC_URL", "MINIO_REGION", "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY")


@pytest.fixture
def on_aws(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """What Lambda tells a function, and no setting of a storage."""
    for name in STORAGE:
        monkeypatch.delenv(name, raising=False)
    export(ROLE, monkeypatch)
    return monkeypatch


def presigned_by_boto3(operation: str, **params: Any) -> str:
    theirs: str = objects._client().generate_presigned_url(operation, Params=params, ExpiresIn=60)
    return theirs


def test_a_functions_role_signs_urls_as_boto3_does_with_it(on_aws: pytest.MonkeyPatch) -> None:
    with patch("botocore.auth.get_current_datetime", lambda *_, **__: datetime(2026, 11, 22, tzinfo=UTC)):
        ours = objects.presign_get("b", "k", expires_in=60)
        assert ours == presigned_by_boto3("get_object", Bucket="b", Key="k")
    assert ours.startswith("https://s3.eu-west-1.amazonaws.com/b/k?")
    query = parse_qs(urlsplit(ours).query)
    assert query["X-Amz-Security-Token"] == ["token/of+the=session"]
    assert query["X-Amz-Credential"] == ["ASIAROLE/20261122/eu-west-1/s3/aws4_request"]


def test_keys_made_for_signing_sign_urls_in_place_of_the_role(on_aws: pytest.MonkeyPatch) -> None:
    export({"MINIO_SIGNING_ACCESS_KEY": "AKIASIGNER", "MINIO_SIGNING_SECRET_KEY": "longer-lived"}, on_aws)
    for url in (objects.presign_get("b", "k", expires_in=60, audience="agent"), presigned("b").url):
        query = parse_qs(urlsplit(url).query)
        assert query["X-Amz-Credential"][0].startswith("AKIASIGNER/")
        assert "X-Amz-Security-Token" not in query


@mock_aws
def test_calls_are_made_with_the_functions_role(on_aws: pytest.MonkeyPatch) -> None:
    export({**ROLE, "MINIO_SIGNING_ACCESS_KEY": "AKIASIGNER", "MINIO_SIGNING_SECRET_KEY": "s"}, on_aws)
    sent: list[Any] = []
    objects._client().meta.events.register("before-send.s3", lambda request, **_: sent.append(request))
    objects.ensure_bucket("mine")
    objects.put("mine", "k", GLB, content_type="model/gltf-binary")
    assert objects.read("mine", "k", limit=len(GLB)) == GLB
    assert sent
    for request in sent:
        assert request.url.startswith("https://s3.eu-west-1.amazonaws.com/mine")
        assert request.headers["X-Amz-Security-Token"] == b"token/of+the=session"
        assert b"Credential=ASIAROLE/" in request.headers["Authorization"]


def test_urls_signed_for_one_time_are_equal(nowhere: None) -> None:
    at = datetime(2026, 11, 22, 18, 54, 8, 959232, tzinfo=UTC)
    first, second = (objects.presign_get("b", "k", expires_in=60, signed_at=at) for _ in range(2))
    assert first == second
    assert "X-Amz-Date=20261122T185408Z" in first
    assert first == objects.presign_get("b", "k", expires_in=60, signed_at=at.astimezone(timezone(timedelta(hours=-7))))
    assert first != objects.presign_get("b", "k", expires_in=60, signed_at=at + timedelta(seconds=1))


def test_a_url_lives_from_the_time_it_was_signed_for(bucket: str) -> None:
    objects.put(bucket, "model", GLB, content_type="model/gltf-binary")
    half_an_hour_ago = datetime.now(UTC) - timedelta(minutes=30)
    lasting, over = (
        objects.presign_get(bucket, "model", expires_in=seconds, signed_at=half_an_hour_ago) for seconds in (3600, 1790)
    )
    assert httpx.get(lasting).status_code == 200
    assert httpx.get(over).status_code == 403


# ---- Presigned uploads ----------------------------------------------------------------------------------------------
PHOTO = b"\xff\xd8\xff" + bytes(range(256)) * 40


def presigned(bucket: str, *, sha256: bytes | None = None, expires_in: int = 60) -> objects.PresignedPut:
    return objects.presign_put(
        bucket, "uploads/a", content_type="image/jpeg", size=len(PHOTO), sha256=sha256, expires_in=expires_in
    )


@pytest.mark.parametrize("sha256", [None, hashlib.sha256(PHOTO).digest()])
def test_what_was_announced_can_be_put(bucket: str, sha256: bytes | None) -> None:
    put = presigned(bucket, sha256=sha256)
    assert httpx.put(put.url, headers=put.headers, content=PHOTO).status_code == 200
    assert objects.read(bucket, "uploads/a", limit=len(PHOTO)) == PHOTO
    assert objects.head(bucket, "uploads/a").content_type == "image/jpeg"


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        ({"content-length": str(len(PHOTO) - 1)}, PHOTO[:-1]),
        ({"content-length": str(len(PHOTO) + 1)}, PHOTO + b"."),
        ({"content-type": "text/html"}, PHOTO),
        ({"x-amz-checksum-sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}, PHOTO),
        ({"x-amz-acl": "public-read"}, PHOTO),
        ({}, PHOTO[:-1] + b"."),
    ],
)
def test_nothing_but_what_was_announced_can_be_put(bucket: str, headers: dict[str, str], content: bytes) -> None:
    put = presigned(bucket, sha256=hashlib.sha256(PHOTO).digest())
    assert httpx.put(put.url, headers={**put.headers, **headers}, content=content).status_code in (400, 403)
    assert objects.list_keys(bucket) == []


@pytest.mark.parametrize("name", ["content-type", "x-amz-checksum-sha256"])
def test_no_header_that_was_announced_can_be_left_out(bucket: str, name: str) -> None:
    put = presigned(bucket, sha256=hashlib.sha256(PHOTO).digest())
    headers = {key: value for key, value in put.headers.items() if key != name}
    assert httpx.put(put.url, headers=headers, content=PHOTO).status_code == 403
    assert objects.list_keys(bucket) == []


def test_the_length_cannot_be_left_out(bucket: str) -> None:
    put = presigned(bucket)
    chunks = iter([PHOTO])
    answer = httpx.put(put.url, headers={"content-type": "image/jpeg"}, content=chunks)
    assert answer.status_code == 403
    assert objects.list_keys(bucket) == []


def test_a_presigned_upload_opens_nothing_else(bucket: str) -> None:
    put = presigned(bucket)
    assert httpx.put(put.url.replace("uploads/a", "uploads/b"), headers=put.headers, content=PHOTO).status_code == 403
    assert httpx.request("GET", put.url, headers=put.headers, content=PHOTO).status_code == 403
    assert objects.list_keys(bucket) == []


def test_a_presigned_upload_ends(bucket: str) -> None:
    with patch("botocore.auth.get_current_datetime", lambda *_, **__: datetime.now(UTC) - timedelta(seconds=61)):
        put = presigned(bucket)
    assert httpx.put(put.url, headers=put.headers, content=PHOTO).status_code == 403
    assert objects.list_keys(bucket) == []


def test_uploads_go_to_the_address_clients_reach(nowhere: None) -> None:
    assert presigned("b").url.startswith("https://storage.example.com/b/uploads/a?X-Amz-Algorithm=AWS4-HMAC-SHA256&")


def preflight(put: objects.PresignedPut, origin: str) -> httpx.Response:
    """What a browser asks before a PUT with these headers; it does not name the length, which it sets itself."""
    names = ",".join(sorted(name for name in put.headers if name != "content-length"))
    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": names}
    return httpx.options(put.url, headers={"Origin": origin, **asked})


def test_a_browser_may_put_from_an_allowed_origin_alone(bucket: str) -> None:
    objects.allow_origins(bucket, ["http://localhost:5173"])
    put = presigned(bucket, sha256=hashlib.sha256(PHOTO).digest())
    allowed, foreign = (preflight(put, origin) for origin in ("http://localhost:5173", "http://evil.com"))
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "http://localhost:5173"
    assert "PUT" in allowed.headers["access-control-allow-methods"]
    assert set(allowed.headers["access-control-allow-headers"].split(", ")) == {"content-type", "x-amz-checksum-sha256"}
    assert foreign.status_code == 403
    assert "access-control-allow-origin" not in foreign.headers


def test_signing_makes_no_client_and_no_call(nowhere: None) -> None:
    objects.presign_get("b", "k", expires_in=60)
    assert objects._client.cache_info().currsize == 0


# ---- Buckets --------------------------------------------------------------------------------------------------------
def test_a_bucket_is_made_once_by_whoever_comes_first(bucket: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(objects.ensure_bucket, [f"{bucket}-together"] * 4))
    assert objects.list_keys(f"{bucket}-together") == []


@mock_aws
def test_a_bucket_is_made_in_the_region_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    region = {"MINIO_HOST": "https://s3.eu-central-1.amazonaws.com", "MINIO_REGION": "eu-central-1"}
    export({**region, "MINIO_ACCESS_KEY": "a", "MINIO_SECRET_KEY": "b"}, monkeypatch)
    objects.ensure_bucket("far")
    objects.ensure_bucket("far")
    assert objects._client().get_bucket_location(Bucket="far")["LocationConstraint"] == "eu-central-1"


def test_a_bucket_that_appears_meanwhile_is_fine(nowhere: None) -> None:
    with stubbed() as stub:
        stub.add_client_error("head_bucket", "404", http_status_code=404)
        stub.add_client_error("create_bucket", "BucketAlreadyOwnedByYou", http_status_code=409)
        objects.ensure_bucket("b")


def test_a_bucket_that_appears_meanwhile_is_fine_whichever_class_the_error_is_of(
    nowhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Botocore makes a client's exception classes at its first error, in threads at once more than one set of them."""

    def refuse(**_: object) -> None:
        answer = {"Error": {"Code": "BucketAlreadyOwnedByYou"}, "ResponseMetadata": {"HTTPStatusCode": 409}}
        raise ClientError(cast("Any", answer), "CreateBucket")

    with stubbed() as stub:
        stub.add_client_error("head_bucket", "404", http_status_code=404)
        monkeypatch.setattr(objects._client(), "create_bucket", refuse)
        objects.ensure_bucket("b")


@pytest.mark.parametrize("origin", ["http://localhost:5173", "http://localhost:8080", "null"])
def test_a_page_that_has_a_presigned_url_may_read(bucket: str, origin: str) -> None:
    """The documentation page too, and one that the API redirected, which comes as `null`."""
    assert objects.allow_origins(bucket, ["http://localhost:5173"]) is True
    objects.put(bucket, "model", GLB, content_type="model/gltf-binary")
    url = objects.presign_get(bucket, "model", expires_in=60)
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "access-token"}
    assert httpx.options(url, headers={"Origin": origin, **asked}).status_code == 200
    assert httpx.get(url, headers={"Origin": origin}).headers["access-control-allow-origin"] in (origin, "*")


@pytest.mark.parametrize(
    ("origin", "status"), [("http://localhost:5173", 200), ("http://evil.com", 403), ("null", 403)]
)
def test_only_pages_of_an_allowed_origin_may_upload(bucket: str, origin: str, status: int) -> None:
    objects.allow_origins(bucket, ["http://localhost:5173"])
    url = objects.presign_get(bucket, "model", expires_in=60)
    asked = {"Origin": origin, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type"}
    assert httpx.options(url, headers=asked).status_code == status


def test_a_server_without_cors_per_bucket_is_reported_and_not_an_error(nowhere: None) -> None:
    with stubbed() as stub:
        stub.add_client_error("put_bucket_cors", "NotImplemented", http_status_code=501)
        assert objects.allow_origins("b", ["http://localhost:5173"]) is False


# ---- A storage that fails -------------------------------------------------------------------------------------------
@contextmanager
def stubbed() -> Iterator[Any]:
    """The client with canned answers."""
    with Stubber(objects._client()) as stub:
        yield stub
        stub.assert_no_pending_responses()


def test_an_absent_storage_is_a_503_that_says_when_to_come_back(nowhere: None) -> None:
    objects._client()
    started = time.monotonic()
    with pytest.raises(objects.Unavailable) as outage:
        objects.read("b", "k", limit=1)
    assert time.monotonic() - started < 8
    assert (outage.value.status, outage.value.code) == (503, "STORAGE_UNAVAILABLE")
    assert int(outage.value.headers["Retry-After"]) > 0
    assert "secret-of-the-storage" not in f"{outage.value!r} {outage.value.__cause__!r}"


@pytest.mark.parametrize(("code", "status"), [("SlowDown", 503), ("InternalError", 500), ("RequestTimeout", 400)])
def test_an_overloaded_storage_is_unavailable(nowhere: None, code: str, status: int) -> None:
    with stubbed() as stub:
        stub.add_client_error("put_object", code, http_status_code=status)
        with pytest.raises(objects.Unavailable):
            objects.put("b", "k", b"", content_type="text/plain")


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"])
def test_a_bucket_that_refuses_us_is_an_error_of_ours(nowhere: None, code: str) -> None:
    with stubbed() as stub:
        stub.add_client_error("get_object", code, http_status_code=403)
        stub.add_client_error("head_bucket", "403", http_status_code=403)
        with pytest.raises(ClientError):
            objects.read("b", "k", limit=1)


@pytest.mark.parametrize(
    ("operation", "code", "status"),
    [
        ("get_object", "InvalidObjectState", 403),
        ("get_object", "AccessDenied", 403),
        ("head_object", "400", 400),
        ("head_object", "405", 405),
    ],
)
def test_an_object_that_alone_is_refused_is_unreadable(nowhere: None, operation: str, code: str, status: int) -> None:
    read: dict[str, Callable[[], object]] = {
        "get_object": lambda: objects.read("b", "k", limit=1),
        "head_object": lambda: objects.head("b", "k"),
    }
    with stubbed() as stub:
        stub.add_client_error(operation, code, http_status_code=status)
        stub.add_response("head_bucket", {})
        with pytest.raises(objects.Unreadable):
            read[operation]()


class _Forgetful(http.server.BaseHTTPRequestHandler):
    """Promises to keep the connection, then drops it: what a process finds that was frozen for long."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"glTF")
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


def test_a_connection_that_died_while_idle_is_replaced_unnoticed(
    nowhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Forgetful) as server:
        threading.Thread(target=server.serve_forever).start()
        export({"MINIO_HOST": f"http://127.0.0.1:{server.server_port}"}, monkeypatch)
        try:
            assert [objects.read("b", "k", limit=4) for _ in range(3)] == [b"glTF"] * 3
        finally:
            server.shutdown()


class _Breaking(_Forgetful):
    """Ends in the middle of a body."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"glTF")
        self.close_connection = True


def test_a_body_that_ends_early_is_an_outage(nowhere: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Breaking) as server:
        threading.Thread(target=server.serve_forever).start()
        export({"MINIO_HOST": f"http://127.0.0.1:{server.server_port}"}, monkeypatch)
        try:
            with pytest.raises(objects.Unavailable):
                objects.read("b", "k", limit=1000)
        finally:
            server.shutdown()


def test_a_url_carries_all_a_server_needs_and_no_secret(nowhere: None) -> None:
    url = objects.presign_get("b", "k", expires_in=60)
    query = parse_qs(urlsplit(url).query)
    assert query["X-Amz-Expires"] == ["60"]
    assert query["X-Amz-SignedHeaders"] == ["host"]
    assert "secret-of-the-storage" not in url
