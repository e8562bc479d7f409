"""The model of a task, once there is one."""

from urllib.parse import parse_qs, urlsplit

import httpx

from tests.functions import api


def test_a_result_is_a_url_that_downloads_and_a_skin_colour(photo: bytes, model: bytes) -> None:
    person = api.person()
    request_uuid = api.create(person.headers, photo).json()["request_uuid"]
    assert api.read("result", person.headers, request_uuid).status == 404
    api.finish(request_uuid, model)
    assert api.status(person.headers, request_uuid) == "SUCCESS"
    answer = api.read("result", person.headers, request_uuid)
    assert set(answer.json()) == {"result_file_path", "mesh_metadata"}
    assert answer.json()["mesh_metadata"] == {"skin_color_hex": "#ba997a"}
    url = answer.json()["result_file_path"]
    assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == ["3600"]
    download = httpx.get(url, trust_env=False)
    assert download.content == model
    assert f"avatar-{request_uuid}.glb" in download.headers["content-disposition"]


def test_without_a_skin_colour_the_metadata_is_null(photo: bytes, model: bytes) -> None:
    person = api.person()
    request_uuid = api.create(person.headers, photo).json()["request_uuid"]
    api.finish(request_uuid, model, skin_color_hex=None)
    assert api.read("result", person.headers, request_uuid).json()["mesh_metadata"] is None
