"""Photos and bombs through the whole function: each is answered rightly, in little memory, and only pixels stay."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.events import HttpRequest, http_event
from tests.functions import api
from tests.shared.avatars import corpus
from tests.shared.avatars.corpus import camera, encoded, filled, gradient

PROJECT = Path(__file__).parents[2]
LIMIT = 300_000_000
SIZES = ("peak", "resting")
MOST, MOST_COLOURED = (8192, 4880), (5000, 5000)  # 40 and 25 megapixels
STATUS = {"NOT_AN_IMAGE": 415, "IMAGE_TOO_LARGE": 413, "BODY_TOO_LARGE": 413, "IMAGE_TOO_SMALL": 422}
TOLD = (
    "nothing", "zero bytes", "SVG", "HEIC", "TIFF", "BMP", "PDF", "EPS", "GIF and script", "moving PNG", "moving WEBP",
    "50.0% of a JPEG", "50.0% of a PNG", "50.0% of a WEBP", "PNG, 30,000 pixels a side",
    "PNG, a row over 40 megapixels", "WebP, 16,383 pixels a side", "PNG, 63 pixels wide", "10 MB and a byte",
)  # fmt: skip
KEPT = (
    "CMYK", "16 bits, grey", "16 bits, colour type 6", "transparent PNG", "double JPEG", "JPEG and archive",
    "JPEG and page", "JPEG, orientation 6", "PNG, orientation 6", "WEBP, orientation 6",
)  # fmt: skip


def interlaced() -> bytes:
    rows = corpus.striped_rows(MOST_COLOURED, colour=6, interlaced=True)
    return corpus.png(MOST_COLOURED, rows, colour=6, interlaced=True)


def deep() -> bytes:
    return corpus.png(MOST, corpus.striped_rows(MOST, depth=16, colour=0), depth=16, colour=0)


LARGEST: dict[str, Callable[[], bytes]] = {
    "baseline, kept as large": lambda: encoded(gradient("CMYK", (4096, 3076)), "JPEG", exif=camera(7)),
    "progressive, all colours": lambda: encoded(
        gradient("RGB", (4500, 4000)), "JPEG", progressive=True, subsampling=0, exif=camera(6)
    ),
    "progressive, kept as large": lambda: encoded(
        gradient("RGB", (4096, 3076)), "JPEG", progressive=True, subsampling=0, exif=camera(6)
    ),
    "progressive, four colours": lambda: encoded(gradient("CMYK", (4000, 2500)), "JPEG", progressive=True),
    "transparent PNG": lambda: encoded(gradient("RGBA", MOST_COLOURED), exif=camera(8), icc_profile=corpus.SRGB),
    "interlaced": interlaced,
    "16 bits": deep,
    "WebP": lambda: corpus.blank_webp(3000, 2500),
}


@pytest.mark.parametrize("name", TOLD)
def test_what_is_no_photo_to_keep_is_told_so(name: str) -> None:
    code, make = corpus.REFUSED[name]
    answer = api.create({**api.person().headers, "accept": "application/problem+json"}, make())
    assert (answer.status, answer.json()["code"]) == (STATUS[code], code)


@pytest.mark.parametrize("name", KEPT)
def test_only_pixels_are_stored(name: str) -> None:
    answer = api.create(api.person().headers, corpus.ACCEPTED[name]())
    assert answer.status == 201
    stored = httpx.get(answer.json()["source_file_path"], trust_env=False).raise_for_status().content
    assert corpus.beside_pixels(stored) == corpus.PLAIN_JFIF


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_the_largest_photos_take_less_than_300_megabytes(tmp_path: Path) -> None:
    headers = api.person().headers
    for number, make in enumerate(LARGEST.values()):
        (tmp_path / f"{number}.json").write_text(json.dumps(_creating(headers, filled(make()))))
    answers = _peaks(sorted(tmp_path.iterdir()))
    assert [answer["status"] for answer in answers] == [201] * len(LARGEST), answers
    peaks, resting = ({name: answer[size] for name, answer in zip(LARGEST, answers, strict=True)} for size in SIZES)
    assert max(peaks.values()) < LIMIT, peaks
    assert max(resting.values()) < LIMIT / 2, resting  # what a photo took is not kept for the next one


def _creating(headers: Mapping[str, str], photo: bytes) -> Mapping[str, Any]:
    """The event of a task for a photo."""
    files = {"task_source_file": ("me.jpg", photo, "image/jpeg")}
    sent = httpx.Request("POST", "http://api.test/", headers=dict(headers), files=files)
    fields = tuple((name.lower(), value) for name, value in sent.headers.items())
    return http_event(HttpRequest("POST", "/api/v1/3d-model-generation/tasks", headers=fields, body=sent.read()))


def _peaks(events: list[Path]) -> list[dict[str, Any]]:
    """What one process answers to all of them, one after the other, and its peak after each."""
    paths = os.pathsep.join(str(PROJECT / part) for part in (".", "layers/facet/python", "shared"))
    command = [sys.executable, "-m", "tests.functions.peak", "create_task", *map(str, events)]
    environment = {**os.environ, "PYTHONPATH": paths}
    ended = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    return [json.loads(line) for line in ended.stdout.splitlines() if line.startswith('{"status"')]
