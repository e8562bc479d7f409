"""Downloading the photo: what is a failure for good, what may be tried again, and the limits."""

import threading
from http.server import BaseHTTPRequestHandler

import pytest

from local.agent import download
from local.agent.photo import PhotoTooLarge
from local.agent.task import TaskFailed, Unavailable
from tests.local.agent.web import serving, status
from tests.stacks import free_port


def test_the_photo_is_downloaded() -> None:
    with serving(status(200, b"photo" * 200_000)) as url:
        assert download.fetch(f"{url}/a.jpg?X-Amz-Signature=0") == b"photo" * 200_000


@pytest.mark.parametrize("code", [301, 400, 403, 404, 410])
def test_a_url_that_is_refused_fails_the_task(code: int) -> None:
    with serving(status(code, Location="http://127.0.0.1:1/")) as url, pytest.raises(TaskFailed, match=str(code)):
        download.fetch(url)


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
def test_a_server_in_trouble_may_be_asked_again(code: int) -> None:
    with serving(status(code)) as url, pytest.raises(Unavailable, match=str(code)):
        download.fetch(url)


def test_a_server_that_is_away_may_be_asked_again() -> None:
    with pytest.raises(Unavailable):
        download.fetch(f"http://127.0.0.1:{free_port()}/a.jpg")


def test_a_body_that_breaks_off_may_be_asked_for_again() -> None:
    with serving(status(200, b"half", **{"Content-Length": "8"})) as url, pytest.raises(Unavailable):
        download.fetch(url)


def test_a_redirect_is_not_followed() -> None:
    asked = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        asked.append(request.path)
        status(302, Location="/elsewhere")(request)

    with serving(answer) as url, pytest.raises(TaskFailed):
        download.fetch(f"{url}/photo")
    assert asked == ["/photo"]


def test_a_photo_that_is_too_large_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "MAX_BYTES", 1024 * 1024)
    with serving(status(200, b"x" * 5_000_000)) as url, pytest.raises(PhotoTooLarge, match="1 MB"):
        download.fetch(url)


def test_a_compressed_answer_is_not_unpacked() -> None:
    with serving(status(200, b"\x1f\x8bbomb", **{"Content-Encoding": "gzip"})) as url:
        assert download.fetch(url) == b"\x1f\x8bbomb"


def test_a_download_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "TOTAL_SECONDS", 0.3)
    monkeypatch.setattr(download, "CHUNK", 1)
    done = threading.Event()

    def trickle(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        while not done.wait(0.02):
            request.wfile.write(b"x")

    try:
        with serving(trickle) as url, pytest.raises(Unavailable, match="within"):
            download.fetch(url)
    finally:
        done.set()


def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "READ_SECONDS", 0.2)
    done = threading.Event()

    def say_nothing(request: BaseHTTPRequestHandler) -> None:
        done.wait(20)

    try:
        with serving(say_nothing) as url, pytest.raises(Unavailable, match="ReadTimeout"):
            download.fetch(url)
    finally:
        done.set()
