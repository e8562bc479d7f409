"""Photos and models behind their URLs: anybody with the URL may read, nobody without."""

from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest

from tests.compat import pictures
from tests.compat.frontend import ORIGIN, Account, Frontend
from tests.compat.ml_agent import Agent

pytestmark = pytest.mark.xdist_group("compat")


@pytest.fixture
def urls(frontend: Frontend, agent: Agent, account: Account, photo: bytes) -> list[str]:
    """The URLs of a photo and of the model that came of it."""
    created = frontend.create(account.access_token, photo).json()
    agent.finish(created["request_uuid"])
    frontend.wait_for(account.access_token, created["request_uuid"], "SUCCESS")
    result = frontend.result(account.access_token, created["request_uuid"]).json()
    return [created["source_file_path"], result["result_file_path"]]


def get(url: str, **headers: str) -> httpx.Response:
    return httpx.get(url, headers=headers, trust_env=False)


def test_returned_urls_are_read_by_a_plain_get(urls: list[str]) -> None:
    assert [get(url).status_code for url in urls] == [200, 200]


def test_a_browser_of_the_old_frontend_may_read_them(urls: list[str]) -> None:
    for url in urls:
        assert get(url, Origin=ORIGIN).headers["access-control-allow-origin"] in ("*", ORIGIN)


def test_nobody_reads_a_file_or_a_bucket_without_a_signature(urls: list[str]) -> None:
    for url in urls:
        bare = urlsplit(url)._replace(query="", fragment="")
        bucket = bare._replace(path="/" + bare.path.split("/")[1])
        assert get(urlunsplit(bare)).status_code == 403
        assert get(urlunsplit(bucket)).status_code == 403


def test_a_signature_opens_no_other_file(urls: list[str]) -> None:
    photo, model = (urlsplit(url) for url in urls)
    assert get(urlunsplit(model._replace(query=photo.query))).status_code == 403


def test_a_signature_allows_reading_only(urls: list[str]) -> None:
    for url in urls:
        assert httpx.put(url, content=b"mine now", trust_env=False).status_code == 403
        assert httpx.delete(url, trust_env=False).status_code == 403
        assert get(url).status_code == 200


def test_a_photo_loses_its_place_and_camera_and_stands_upright(frontend: Frontend, account: Account) -> None:
    photo = pictures.photo_with_place(size=(320, 240))
    assert b"Pocket Camera" in photo
    url = frontend.create(account.access_token, photo).json()["source_file_path"]
    kept = get(url).content
    picture = pictures.opened(kept)
    assert not picture.getexif()
    assert b"Pocket Camera" not in kept
    assert b"Exif" not in kept
    assert picture.size == (240, 320)
