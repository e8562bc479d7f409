"""Owners see what is theirs, by every route, and nobody else does."""

import uuid

import pytest

from facet.settings import settings
from tests.functions import api


def assert_unknown(headers: dict[str, str], request_uuid: str, *, integrations: bool = False) -> None:
    words = "was not found" if integrations else "not found"
    state = api.read("status", headers, request_uuid, integrations=integrations)
    result = api.read("result", headers, request_uuid, integrations=integrations)
    assert (state.status, state.json()) == (404, {"detail": f"The task with request uuid {request_uuid} {words}"})
    assert (result.status, result.json()) == (
        404,
        {"detail": f"The task result with request uuid {request_uuid} not found"},
    )


def test_a_stranger_finds_nothing(photo: bytes, model: bytes) -> None:
    owner, stranger = api.person(), api.person("eve@example.org")
    request_uuid = api.create(owner.headers, photo).json()["request_uuid"]
    api.finish(request_uuid, model)
    assert_unknown(stranger.headers, request_uuid)
    assert api.history(stranger.headers) == []
    profile = api.profile(stranger.headers)
    assert profile.json()["image_url"] == ""


def test_a_key_without_a_user_sees_what_it_made_and_nothing_else(photo: bytes, model: bytes) -> None:
    person = api.person()
    keys = [api.new_key(), api.new_key(), api.new_key(user_email=person.email)]
    made = [api.create(key, photo, integrations=True).json()["request_uuid"] for key in keys]
    made.append(api.create(person.headers, photo).json()["request_uuid"])
    for request_uuid in made:
        api.finish(request_uuid, model)
    for place, key in enumerate(keys):
        for other, request_uuid in enumerate(made):
            if other == place:
                assert api.read("status", key, request_uuid, integrations=True).json() == {"status": "SUCCESS"}
                assert api.read("result", key, request_uuid, integrations=True).status == 200
            else:
                assert_unknown(key, request_uuid, integrations=True)


def test_the_keys_of_a_user_see_what_any_of_them_made_and_not_what_the_user_made(photo: bytes, model: bytes) -> None:
    person, other = api.person(), api.person("eve@example.org")
    old, new = api.new_key(user_email=person.email), api.new_key(user_email=person.email)
    made = api.create(old, photo, integrations=True).json()["request_uuid"]
    api.finish(made, model)
    assert api.read("status", new, made, integrations=True).json() == {"status": "SUCCESS"}
    assert api.read("result", new, made, integrations=True).status == 200
    assert_unknown(new, api.create(person.headers, photo).json()["request_uuid"], integrations=True)
    assert_unknown(api.new_key(user_email=other.email), made, integrations=True)


def test_a_user_sees_what_their_keys_made(photo: bytes) -> None:
    person = api.person()
    made = api.create(api.new_key(user_email=person.email), photo, integrations=True).json()["request_uuid"]
    theirs = api.create(api.new_key(), photo, integrations=True).json()["request_uuid"]
    assert [item["task_request_uuid"] for item in api.history(person.headers)] == [made]
    assert api.status(person.headers, made) == "PENDING"
    assert_unknown(person.headers, theirs)


def test_where_keys_are_off_only_what_belongs_to_nobody_is_seen(monkeypatch: pytest.MonkeyPatch, photo: bytes) -> None:
    person = api.person()
    owned = [
        api.create(person.headers, photo).json()["request_uuid"],
        api.create(api.new_key(), photo, integrations=True).json()["request_uuid"],
    ]
    monkeypatch.setenv("INTEGRATIONS_AUTH", "off")
    settings.cache_clear()
    made = api.create({}, photo, integrations=True).json()["request_uuid"]
    assert api.read("status", {}, made, integrations=True).json() == {"status": "PENDING"}
    for request_uuid in owned:
        assert_unknown({}, request_uuid, integrations=True)


@pytest.mark.parametrize("headers", [{}, {"x-api-key": "avk_live_00000000_guess"}])
def test_integrations_need_a_key(headers: dict[str, str]) -> None:
    for name in ("status", "result"):
        assert api.read(name, headers, str(uuid.uuid4()), integrations=True).status == 401


def test_an_unknown_task_is_a_404_with_the_old_texts() -> None:
    assert_unknown(api.person().headers, str(uuid.uuid4()))
    assert_unknown(api.new_key(), str(uuid.uuid4()), integrations=True)
