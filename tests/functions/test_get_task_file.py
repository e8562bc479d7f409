"""The lasting links to photo and avatar."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from facet.settings import settings
from tests.functions import api


def file(headers: dict[str, str], request_uuid: str, name: str, *, integrations: bool = False) -> api.Answer:
    return api.of_task("get_task_file", "GET", headers, request_uuid, f"/files/{name}", integrations=integrations)


def made(photo: bytes) -> tuple[dict[str, str], str]:
    headers = api.person().headers
    return headers, api.create(headers, photo).json()["request_uuid"]


def test_a_link_leads_to_a_fresh_url_of_the_model_with_a_name_to_save_it_under(photo: bytes, model: bytes) -> None:
    headers, request_uuid = made(photo)
    api.finish(request_uuid, model)
    answer = file(headers, request_uuid, "model.glb")
    assert (answer.status, answer.body, answer.headers["cache-control"]) == (302, b"", "no-store")
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    signed = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert datetime.now(UTC) - signed < timedelta(minutes=1)
    assert query["X-Amz-Expires"] == ["3600"]
    download = httpx.get(answer.headers["location"], trust_env=False)
    assert download.content == model
    assert f"avatar-{request_uuid}.glb" in download.headers["content-disposition"]


def test_a_link_leads_to_the_photo_which_is_shown(photo: bytes) -> None:
    headers, request_uuid = made(photo)
    download = httpx.get(file(headers, request_uuid, "photo.jpg").headers["location"], trust_env=False)
    assert (download.status_code, download.headers["content-type"]) == (200, "image/jpeg")
    assert "content-disposition" not in download.headers


def test_the_links_of_a_task_are_those_paths(photo: bytes, model: bytes) -> None:
    key = api.new_key()
    request_uuid = api.create(key, photo, integrations=True).json()["request_uuid"]
    api.finish(request_uuid, model)
    for each in api.task(key, request_uuid, integrations=True)["files"]:
        path = each["link"].removeprefix(settings().path_prefix)
        answer = api.request("get_task_file", "GET", path, headers=key)
        assert len(httpx.get(answer.headers["location"], trust_env=False).content) == each["bytes"]


@pytest.mark.parametrize("name", ["model.glb", "photo.png", "photo", "PHOTO.JPG", "..%2F..%2Fetc", "%00", "x" * 500])
def test_a_file_that_is_not_there_is_named(photo: bytes, name: str) -> None:
    headers, request_uuid = made(photo)
    answer = file(headers, request_uuid, name)
    assert answer.status == 404
    assert answer.json()["code"] in ("FILE_NOT_FOUND", "NOT_FOUND")
    if name == "model.glb":
        assert answer.json()["code"] == "FILE_NOT_FOUND"


def test_a_file_of_another_is_no_file_but_no_task(photo: bytes) -> None:
    _, request_uuid = made(photo)
    stranger = api.person("eve@example.org").headers
    for name in ("photo.jpg", "model.glb", "other"):
        answer = file(stranger, request_uuid, name)
        assert (answer.status, answer.json()["code"]) == (404, "TASK_NOT_FOUND")


def test_no_storage_is_needed_to_redirect(monkeypatch: pytest.MonkeyPatch, photo: bytes) -> None:
    headers, request_uuid = made(photo)
    monkeypatch.setenv("MINIO_HOST", "http://127.0.0.1:1")
    settings.cache_clear()
    assert file(headers, request_uuid, "photo.jpg").status == 302
