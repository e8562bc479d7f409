"""Creating a task and reading its status and result, as the old frontend does."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.compat import glb, pictures
from tests.compat.frontend import Account, Frontend
from tests.compat.ml_agent import Agent

pytestmark = pytest.mark.xdist_group("compat")

OPEN = {"INITIAL", "PENDING", "IN_PROGRESS"}


def test_a_photo_makes_a_task(frontend: Frontend, account: Account, photo: bytes) -> None:
    answer = frontend.create(account.access_token, photo)
    assert answer.status_code == 201
    assert set(answer.json()) == {"request_uuid", "source_file_path"}
    assert str(uuid.UUID(answer.json()["request_uuid"])) == answer.json()["request_uuid"]
    assert type(answer.json()["source_file_path"]) is str


@pytest.mark.parametrize(
    ("form", "file_name", "content_type"),
    [
        ("JPEG", "me.jpg", "image/jpeg"),
        ("PNG", "me.png", "image/png"),
        ("WEBP", "me.webp", "image/webp"),
        ("JPEG", "../../étrange name?.jpg", "image/jpeg"),
    ],
)
def test_the_usual_kinds_of_photo_are_accepted_under_any_name(
    frontend: Frontend, account: Account, form: str, file_name: str, content_type: str
) -> None:
    photo = pictures.photo(form)
    answer = frontend.create(account.access_token, photo, file_name=file_name, content_type=content_type)
    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("file_name", "content_type", "data"),
    [
        ("notes.txt", "text/plain", b"no photo at all"),
        ("notes.jpg", "image/jpeg", b"no photo either, whatever its type says"),
        ("page.gif", "image/gif", b"GIF89a/*<script>alert(1)</script>*/=1;"),
        ("empty.jpg", "image/jpeg", b""),
    ],
)
def test_a_file_that_is_no_photo_is_a_415_with_the_old_text(
    frontend: Frontend, account: Account, file_name: str, content_type: str, data: bytes
) -> None:
    answer = frontend.create(account.access_token, data, file_name=file_name, content_type=content_type)
    assert answer.status_code == 415
    assert answer.json() == {"detail": "Only image files are accepted"}


def test_a_form_without_the_file_is_a_422_that_names_the_field(
    frontend: Frontend, account: Account, photo: bytes
) -> None:
    answer = frontend.http.post(
        "/3d-model-generation/tasks", headers={"access-token": account.access_token}, files={"image": ("me.jpg", photo)}
    )
    assert answer.status_code == 422
    errors = {tuple(error["loc"]): error["type"] for error in answer.json()["detail"]}
    assert errors[("body", "task_source_file")] == "missing"


def test_a_new_task_has_an_open_status_and_no_result(frontend: Frontend, account: Account, photo: bytes) -> None:
    request_uuid = frontend.create_task(account.access_token, photo)
    status = frontend.status(account.access_token, request_uuid)
    assert status.status_code == 200
    assert set(status.json()) == {"status"}
    assert status.json()["status"] in OPEN
    result = frontend.result(account.access_token, request_uuid)
    assert result.status_code == 404
    assert result.json() == {"detail": f"The task result with request uuid {request_uuid} not found"}


@pytest.mark.parametrize(
    ("skin_color_hex", "mesh_metadata"), [("#ba997a", {"skin_color_hex": "#ba997a"}), (None, None)]
)
def test_a_finished_task_has_a_file_and_its_skin_colour_or_null(
    frontend: Frontend,
    agent: Agent,
    account: Account,
    photo: bytes,
    skin_color_hex: str | None,
    mesh_metadata: dict[str, str] | None,
) -> None:
    request_uuid = frontend.create_task(account.access_token, photo)
    agent.finish(request_uuid, skin_color_hex=skin_color_hex)
    frontend.wait_for(account.access_token, request_uuid, "SUCCESS")
    result = frontend.result(account.access_token, request_uuid)
    assert result.status_code == 200
    assert set(result.json()) == {"result_file_path", "mesh_metadata"}
    assert result.json()["mesh_metadata"] == mesh_metadata
    downloaded = frontend.http.get(result.json()["result_file_path"])
    assert downloaded.status_code == 200
    assert downloaded.content == glb.triangle()


def test_an_unknown_task_is_a_404_with_the_old_texts(frontend: Frontend, account: Account) -> None:
    unknown = str(uuid.uuid4())
    status, result = (
        frontend.status(account.access_token, unknown),
        frontend.result(account.access_token, unknown),
    )
    assert status.status_code == result.status_code == 404
    assert status.json() == {"detail": f"The task with request uuid {unknown} not found"}
    assert result.json() == {"detail": f"The task result with request uuid {unknown} not found"}


def test_somebody_elses_task_is_as_unknown_as_any(
    frontend: Frontend, agent: Agent, account: Account, photo: bytes
) -> None:
    request_uuid = frontend.create_task(account.access_token, photo)
    agent.finish(request_uuid)
    frontend.wait_for(account.access_token, request_uuid, "SUCCESS")
    stranger = frontend.sign_up()
    status, result = (
        frontend.status(stranger.access_token, request_uuid),
        frontend.result(stranger.access_token, request_uuid),
    )
    assert status.status_code == result.status_code == 404
    assert status.json() == {"detail": f"The task with request uuid {request_uuid} not found"}
    assert result.json() == {"detail": f"The task result with request uuid {request_uuid} not found"}
    assert frontend.history(stranger.access_token).json() == {"items": []}
    assert frontend.profile(stranger.access_token).json()["image_url"] == ""


@pytest.mark.parametrize("no_uuid", ["1", "not-a-uuid", "%00", "..%2f..%2fetc", f"{uuid.UUID(int=1)}x", "%ff"])
@pytest.mark.parametrize("read", ["status", "result"])
def test_a_path_that_is_no_uuid_is_a_404(frontend: Frontend, account: Account, no_uuid: str, read: str) -> None:
    answer = frontend.read(account.access_token, f"/3d-model-generation/tasks/{no_uuid}/{read}")
    assert answer.status_code == 404
    assert type(answer.json()["detail"]) is str


@pytest.mark.parametrize("path", ["/nowhere", "/users", "/users/registration/more", "/3d-model-generation"])
def test_an_unknown_path_is_a_404_not_found(frontend: Frontend, path: str) -> None:
    answer = frontend.http.get(path)
    assert answer.status_code == 404
    assert answer.json()["detail"] == "Not Found"


def test_an_unknown_path_outside_the_api_is_a_404_not_found(frontend: Frontend) -> None:
    answer = frontend.http.get(str(frontend.http.base_url.copy_with(path="/nowhere")))
    assert answer.status_code == 404
    assert answer.json()["detail"] == "Not Found"


def test_eight_uploads_at_once_are_all_accepted(frontend: Frontend, account: Account) -> None:
    photos = [pictures.photo() for _ in range(16)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda photo: frontend.create(account.access_token, photo), photos))
    assert [answer.status_code for answer in answers] == [201] * len(photos)
    assert len(frontend.history(account.access_token).json()["items"]) == len(photos)
