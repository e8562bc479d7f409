"""Downloading the photo from the URL in the task, with limits on its size and on the time it takes."""

import time

import urllib3

from local.agent.photo import PhotoTooLarge
from local.agent.task import TaskFailed, Unavailable

MAX_BYTES = 25 * 1024 * 1024  # the backend accepts photos of 10 MB and re-encodes them
CHUNK = 256 * 1024
CONNECT_SECONDS, READ_SECONDS, TOTAL_SECONDS = 5, 10, 60
TRANSIENT = {408, 425, 429}  # beside 5xx


def fetch(url: str) -> bytes:
    """Raises Unavailable, TaskFailed, PhotoTooLarge. Redirects are not followed: a presigned URL has none."""
    with urllib3.PoolManager() as pool:
        try:
            response = pool.request(
                "GET",
                url,
                preload_content=False,
                headers={"accept-encoding": "identity"},
                decode_content=False,
                redirect=False,
                retries=False,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            )
            with response:
                _check(response.status)
                return _body(response, deadline=time.monotonic() + TOTAL_SECONDS)
        except urllib3.exceptions.LocationValueError as exc:
            raise TaskFailed("the photo's URL is not valid") from exc
        except urllib3.exceptions.HTTPError as exc:
            raise Unavailable(f"the photo could not be downloaded: {type(exc).__name__}") from exc


def _check(status: int) -> None:
    if status in TRANSIENT or status >= 500:
        raise Unavailable(f"the photo's URL answers {status}")
    if status != 200:
        raise TaskFailed(f"the photo could not be downloaded: its URL answers {status}")


def _body(response: urllib3.BaseHTTPResponse, *, deadline: float) -> bytes:
    body = bytearray()
    for chunk in response.stream(CHUNK):
        body += chunk
        if len(body) > MAX_BYTES:
            raise PhotoTooLarge(f"the photo has more than {MAX_BYTES // 1024**2} MB")
        if time.monotonic() > deadline:
            raise Unavailable(f"the photo was not downloaded within {TOTAL_SECONDS} s")
    return bytes(body)
