"""Whatever is printed of an invocation, by whichever verb, no secret of it is in it."""

import base64
import json
import random

import pytest

from tests.local.records.conftest import Project

RANDOM = random.Random(11)
PHOTO = b"\xff\xd8\xff\xe0" + RANDOM.randbytes(40_000)
SECRETS = {
    "password": "correct-horse-4711",
    "access-token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmF0dXJlLW9mLWFkYQ",
    "x-api-key": "avk_live_0a1b2c3d_Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6",
    "authorization": "Bearer c2VjcmV0LWJlYXJlci10b2tlbg",
    "cookie": "session=c00kie-of-ada",
    "x-database-password": "pa55-of-the-database",
}
SIGNATURE = "5f0e6c1e" * 8
PRESIGNED = f"http://localhost:9000/photos/a.jpg?X-Amz-Credential=AK1%2F2026&X-Amz-Signature={SIGNATURE}"
GIVEN_AWAY = [
    *(value.split("=")[-1] for value in SECRETS.values()),
    SIGNATURE,
    base64.b64encode(PHOTO).decode()[300:340],
    base64.b64encode(json.dumps({"password": SECRETS["password"]}).encode()).decode()[:-8],
    "\\xff\\xd8\\xff\\xe0",
]


@pytest.fixture(scope="module")
def told(sample: Project) -> list[str]:
    """The ids of requests with secrets in every place."""
    headers = {name: value for name, value in SECRETS.items() if name != "password"}
    password = {"password": SECRETS["password"]}
    form = {"task_source_file": ("me.jpg", PHOTO, "image/jpeg")}
    return [
        sample.ask("POST", "/sign-in", headers={**headers, "x-callback": PRESIGNED}, json=password),
        sample.ask("POST", "/sign-in", headers=headers, params={"token": SIGNATURE}, data=password),
        sample.ask("POST", "/sign-in", headers=headers, files=form, data=password),
        sample.ask("POST", "/sign-in", headers={**headers, "content-type": "image/jpeg"}, content=PHOTO),
        sample.ask("GET", "/fail", headers=headers),
    ]


def commands(told: list[str]) -> list[list[str]]:
    each = [[verb, request_id] for verb in ("show", "replay") for request_id in told]
    lists = [["records"], ["records", "--errors"], ["logs", "-n", "1000"], ["logs", "--errors"], ["status"]]
    requests = [["logs", "--request", request_id] for request_id in told]
    return [*each, *lists, *requests]


def test_no_verb_prints_a_secret(sample: Project, told: list[str]) -> None:
    found = []
    for command in commands(told):
        for options in ([], ["--json"]):
            done = sample.facet(*command, *options)
            assert done.exit_code in (0, 1), (command, done.output)
            assert done.output.strip(), command
            found += [(*command, *options, secret) for secret in GIVEN_AWAY if secret in done.output]
    assert found == []


def test_no_trace_has_a_secret(sample: Project, told: list[str]) -> None:
    traces = [sample.json("show", request_id)["trace_id"] for request_id in told]
    outputs = [sample.facet("trace", trace).output for trace in traces]
    assert [secret for secret in GIVEN_AWAY if any(secret in output for output in outputs)] == []


def test_the_log_of_a_call_has_no_secret_either(sample: Project) -> None:
    headers = [option for name, value in SECRETS.items() for option in ("-H", f"{name}: {value}")]
    done = sample.facet("invoke", "fail", "--log", *headers)
    assert "[ERROR] ValueError: token=" in done.stderr
    assert [secret for secret in GIVEN_AWAY if secret in done.stderr] == []
