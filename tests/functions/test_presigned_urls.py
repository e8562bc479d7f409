"""The URLs that reading gives away."""

from urllib.parse import parse_qs, urlsplit

import pytest

from facet import broker
from facet.settings import settings
from tests.functions import api


def test_urls_carry_the_address_clients_reach(monkeypatch: pytest.MonkeyPatch, photo: bytes, model: bytes) -> None:
    monkeypatch.setenv("MINIO_PUBLIC_URL", "https://storage.example.org")
    settings.cache_clear()
    person = api.person()
    created = api.create(person.headers, photo).json()
    api.finish(created["request_uuid"], model)
    profile = api.profile(person.headers).json()
    urls = [
        created["source_file_path"],
        profile["image_url"],
        api.history(person.headers)[0]["input_image_url"],
        api.read("result", person.headers, created["request_uuid"]).json()["result_file_path"],
        *(file["url"] for file in api.task(person.headers, created["request_uuid"])["files"]),
    ]
    assert {urlsplit(url).netloc for url in urls} == {"storage.example.org"}


def test_reading_asks_the_storage_nothing(monkeypatch: pytest.MonkeyPatch, photo: bytes, model: bytes) -> None:
    person = api.person()
    request_uuid = api.create(person.headers, photo).json()["request_uuid"]
    api.finish(request_uuid, model)
    monkeypatch.setenv("MINIO_HOST", "http://127.0.0.1:1")
    settings.cache_clear()
    assert api.status(person.headers, request_uuid) == "SUCCESS"
    assert api.read("result", person.headers, request_uuid).status == 200
    assert len(api.history(person.headers)) == 1
    assert len(api.task(person.headers, request_uuid)["files"]) == 2
    listed = api.request("list_tasks", "GET", "/3d-model-generation/tasks", headers=person.headers)
    assert len(listed.json()["items"]) == 1
    profile = api.profile(person.headers)
    assert profile.status == 200


def test_no_url_with_its_rights_reaches_the_log(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, photo: bytes, model: bytes
) -> None:
    def refuse(**message: object) -> None:
        raise ValueError(f"cannot send {message['body']!r}")

    person = api.person()
    with monkeypatch.context() as patch:
        patch.setattr(broker, "publish", refuse)
        request_uuid = api.create(person.headers, photo).json()["request_uuid"]
        api.relay()
    api.relay()
    api.finish(request_uuid, model)
    url = api.read("result", person.headers, request_uuid).json()["result_file_path"]
    printed = "".join(capsys.readouterr())
    assert "not sent" in printed
    assert parse_qs(urlsplit(url).query)["X-Amz-Signature"][0] not in printed
    assert "X-Amz-Signature=" not in printed
