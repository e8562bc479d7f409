"""Every HTTP function answers the same through every front: status, headers and body."""

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import httpx
import psycopg
import pytest
from psycopg import sql

from facet import objects
from facet.settings import Rate, settings
from local.testing import Local
from tests.conftest import Settings
from tests.contract.cases import PASSWORD, Case, cases
from tests.contract.fronts import FRONTS, client
from tests.functions import api
from tests.servers import postgres

OWNERS = [(1, None, "WEB_SERVICE"), (1, 1, "EXTERNAL_INTEGRATION")]
STATES = ["waiting", "finished", "cancelled", "deleted"]
VARYING = {"x-request-id", "date", "server-timing", "traceparent"}
WRITES = {"chalice": {"content-length"}}  # what the front writes by itself, and so the adapter leaves to it
KEPT = "alembic_version"
PHOTOS, MODELS = "MINIO_IMAGES_BUCKET", "MINIO_3D_FILES_BUCKET"
CASES = cases()

_EVERY_TIME_ANOTHER = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (r"eyJ[\w-]+\.[\w-]+\.[\w-]+", "JWT"),
        (r"avk_\w+?_[\w-]{8,}", "KEY"),
        (r'(?<="refresh_token":")[^"]+', "REFRESH"),
        (r'(?<="prefix":")[^"]+', "PREFIX"),
        (r"\d{4}-\d\d-\d\d[T ][\d:.]+(Z|[+-]\d\d:\d\d)?", "TIME"),
        (r"(?<=X-Amz-Credential=)[^&\"]+", "CREDENTIAL"),
        (r"(?<=X-Amz-Date=)\w+", "TIME"),
        (r"(?<=X-Amz-Signature=)\w+", "SIGNATURE"),
        (r"(?<=;t=)\d+", "SECONDS"),
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID"),
    ]
]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def without(self, names: set[str]) -> "Answer":
        return replace(self, headers=tuple(item for item in self.headers if item[0] not in names))


def test_every_route_of_every_function_is_asked(project: Local) -> None:
    reached = {spec.name for spec in project.template.functions.values() if spec.url or spec.routes}
    assert {case.function for case in CASES} == reached
    asked = {(case.function, case.method, re.sub(r"\{\w+\}", "x", case.path.partition("?")[0])) for case in CASES}
    for route in project.template.routes:
        pattern = re.compile(re.sub(r"\{\w+\}", "[^/]+", route.path))
        assert any(
            (function, method) == (route.function, route.method) and pattern.fullmatch(path)
            for function, method, path in asked
        ), route


def fresh(settings: Settings) -> dict[str, str]:
    """Empty tables but for what the requests name: Ada, her key and her tasks, the same for every front."""
    objects.put(settings["MINIO_IMAGES_BUCKET"], "user-1/a.jpg", b"photo", content_type="image/jpeg")
    with postgres(settings, autocommit=True) as conn:
        names = conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> %s", (KEPT,))
        tables = sql.SQL(", ").join(sql.Identifier(name) for (name,) in names)
        conn.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(tables))
        assert api.register("ada@example.org", PASSWORD, name="Ada").json() == {"user_id": 1}
        key = api.invoke("create_api_key", {"name": "kiosk", "user_email": "ada@example.org"})["key"]
        return {"key": str(key), **_tasks(conn, settings)}


def _tasks(conn: psycopg.Connection[tuple[Any, ...]], settings: Settings) -> dict[str, str]:
    """A task for each state that is asked for or brought about, made with a token and made with the key."""
    media = "INSERT INTO media_objects (kind, bucket, object_key, content_type, size, sha256) VALUES "
    conn.execute(media + "('photo', %s, 'user-1/a.jpg', 'image/jpeg', 5, sha256(''))", (settings[PHOTOS],))
    made = {}
    for number, (owner, state) in enumerate(product(OWNERS, STATES), 1):
        made[f"{state}{OWNERS.index(owner) + 1}"] = uuid = str(UUID(int=number, version=4))
        conn.execute(
            """
            INSERT INTO tasks (request_uuid, user_id, api_key_id, client_type, photo_id, output_bucket, status,
                published_at)
            VALUES (%s, %s, %s, %s, 1, %s, 'PENDING', now())
            """,
            (uuid, *owner, settings[MODELS]),
        )
        if state == "finished":
            model = media + "('model', %s, %s, 'model/gltf-binary', 5, sha256('')) RETURNING id"
            row = conn.execute(model, (settings[MODELS], f"{uuid}.glb")).fetchone()
            assert row
            conn.execute(
                """
                UPDATE tasks SET status = 'SUCCESS', progress = 100, model_id = %s, skin_color_hex = '#ba997a',
                    finished_at = now(), revision = revision + 1 WHERE request_uuid = %s
                """,
                (row[0], uuid),
            )
    return made


def answers(front: str, project: Local, settings: Settings) -> list[Answer | None]:
    """One for each case; None where the front cannot ask."""
    known: defaultdict[str, str] = defaultdict(lambda: "unknown", fresh(settings))
    return [None if _is_out_of_reach(case, front) else _ask(case, front, project, known) for case in CASES]


def _is_out_of_reach(case: Case, front: str) -> bool:
    """An API of Chalice's has no function URLs, and a balancer without multi-value headers no repeated parameters."""
    names = [name for name, _ in parse_qsl(urlsplit(case.path).query)]
    return (case.own and front == "chalice") or (len(names) > len({*names}) and front == "alb")


def _ask(case: Case, front: str, project: Local, known: dict[str, str]) -> Answer:
    headers = {name: value.format_map(known) for name, value in case.headers.items()}
    content = dict(case.content)
    if isinstance(named := content.get("json"), dict):
        content["json"] = {n: v.format_map(known) if isinstance(v, str) else v for n, v in named.items()}
    with client(front, project, case.function if case.own else None) as http:
        response = http.request(case.method, case.path.format_map(known), headers=headers, **content)
    if case.learns and response.is_success:
        known |= case.learns(response.headers, response.content)
    return Answer(response.status_code, *_constant(response, WRITES.get(front, set()) | VARYING))


def _constant(response: httpx.Response, ignored: set[str]) -> tuple[tuple[tuple[str, str], ...], bytes]:
    """Headers and body without what is another one every time."""
    kept = sorted(
        (name, _same(value).replace(", ", ","))  # how repeated ones are joined is for each front to choose
        for name, value in response.headers.items()
        if name not in ignored
    )
    body = response.content.replace(response.headers.get("x-request-id", "none").encode(), b"REQUEST")
    try:
        return tuple(kept), _same(body.decode()).encode()
    except UnicodeDecodeError:
        return tuple(kept), body


def _same(text: str) -> str:
    for pattern, replacement in _EVERY_TIME_ANOTHER:
        text = pattern.sub(replacement, text)
    return text


_expected: list[Answer | None] = []


@pytest.fixture(autouse=True)
def _unhurried(environment: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take longer to say that it is ready, and for all requests longer than a limit's window is."""
    monkeypatch.setattr("functions.health.handler.PATIENCE", 30)
    for name, value in settings():
        if isinstance(value, Rate):
            monkeypatch.setenv(name.upper(), f"{value.quota}/3600")
    settings.cache_clear()


@pytest.fixture
def expected(environment: Settings, project: Local) -> list[Answer | None]:
    """What the gateway of `facet up` gives for each case, as template.yaml has it."""
    api.local = project
    if not _expected:
        _expected.extend(answers("gateway", project, environment))
    return _expected


def test_the_cases_have_the_statuses_they_say(expected: list[Answer | None]) -> None:
    pairs = [(case, answer) for case, answer in zip(CASES, expected, strict=True) if answer]
    assert [(str(case), answer) for case, answer in pairs if answer.status != case.status] == []


@pytest.mark.parametrize("front", FRONTS[1:])
def test_every_front_gets_the_same_answers(
    front: str,
    expected: list[Answer | None],
    environment: Settings,
    project: Local,
    record_property: Callable[[str, object], None],
) -> None:
    found = answers(front, project, environment)
    expected = [answer and answer.without(WRITES.get(front, set())) for answer in expected]
    equal = [
        (case.function, answer == wanted) for case, answer, wanted in zip(CASES, found, expected, strict=True) if answer
    ]
    record_property("matrix", (front, equal))
    wrong = [each for each in zip(map(str, CASES), found, expected, strict=True) if each[1] and each[1] != each[2]]
    assert not wrong, f"{len(wrong)} answers differ, the first: {wrong[0]}"
