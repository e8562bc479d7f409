"""What every front is asked: for each function requests that succeed and that fail, in the order they are sent in.

A path or a header may name what was prepared or learnt before in braces: `{waiting1}` is a task, `{key_id}` what an
earlier answer was remembered by.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.media import photo

TASKS = "/3d-model-generation/tasks"
NOBODYS = "00000000-0000-4000-8000-0000000000ff"
FORM = {"content-type": "multipart/form-data; boundary=frontier"}
JSON = {"content-type": "application/json"}
PROBLEMS = {"accept": "application/problem+json"}
ORIGIN = {"origin": "http://localhost:5173"}
USER, KEY = {"access-token": "{access}"}, {"x-api-key": "{key}"}
PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Case:
    """`own` goes to the function's own URL: by a route, what stands before the functions would answer it."""

    function: str
    status: int
    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    content: Mapping[str, Any] = field(default_factory=dict)
    own: bool = False
    learns: Callable[[Mapping[str, str], bytes], dict[str, str]] | None = None

    def __str__(self) -> str:
        return f"{self.function}: {self.method} {self.path}"


def form(**files: tuple[str, bytes]) -> dict[str, Any]:
    return {"files": files}


def _tokens(headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    pair = json.loads(body)
    return {"access": pair["access_token"], "refresh": pair["refresh_token"]}


def _tag(headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    return {"etag": headers["etag"]}


def _key_id(headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    return {"key_id": str(json.loads(body)["id"])}


def cases() -> list[Case]:
    return [
        *_documentation(), *_sign_up(), *_profile(), *_keys(), *_creation("", USER, "1"),
        *_creation("/integrations", KEY, "2"), *_reading("", USER, "1"), *_reading("/integrations", KEY, "2"),
        *_changes("", USER, "1"), *_changes("/integrations", KEY, "2"), *_farewell(),
    ]  # fmt: skip


def _documentation() -> Iterator[Case]:
    for prefix in ("", "/api/v1"):
        yield Case("health", 200, "GET", f"{prefix}/health/live")
        yield Case("health", 200, "HEAD", f"{prefix}/health/live")
        yield Case("health", 200, "GET", f"{prefix}/health/ready", ORIGIN)
        yield Case("health", 405, "POST", f"{prefix}/health/ready", own=True)
        yield Case("health", 404, "GET", f"{prefix}/health/never", own=True)
        yield Case("api_docs", 200, "GET", f"{prefix}/openapi.json", learns=_tag)
        yield Case("api_docs", 304, "GET", f"{prefix}/openapi.json", {"if-none-match": "{etag}"})
        yield Case("api_docs", 304, "HEAD", f"{prefix}/openapi.json", {"if-none-match": '"other", {etag}'})
        yield Case("api_docs", 200, "GET", f"{prefix}/docs")
        yield Case("api_docs", 200, "HEAD", f"{prefix}/docs")
        yield Case("api_docs", 200, "GET", f"{prefix}/docs/favicon-32x32.png")
        yield Case("api_docs", 200, "HEAD", f"{prefix}/docs/favicon-32x32.png", ORIGIN)
        yield Case("api_docs", 404, "GET", f"{prefix}/docs/nothing%2F..%2Fnothing")
        yield Case("api_docs", 404, "GET", f"{prefix}/docs/" + 2000 * "a%C3%BC")
        yield Case("api_docs", 200, "GET", f"{prefix}/problems")
        yield Case("api_docs", 200, "GET", f"{prefix}/problems?code=NO_FACE&code=x%20y&empty=", {"accept": "text/html"})
        yield Case("api_docs", 200, "GET", f"{prefix}/problems/not-found")
        yield Case("api_docs", 404, "GET", f"{prefix}/problems/%00")
        yield Case("api_docs", 405, "DELETE", f"{prefix}/problems", own=True)
    yield Case("api_docs", 204, "OPTIONS", "/docs", {**ORIGIN, "access-control-request-method": "GET"})


def _sign_up() -> Iterator[Case]:
    path = "/api/v1/users/registration"
    eve = {"name": "Ève ☃", "email": "eve@example.org", "password": PASSWORD}
    yield Case("register_user", 201, "POST", path, content={"json": eve})
    yield Case("register_user", 409, "POST", path, PROBLEMS, {"json": eve})
    yield Case("register_user", 422, "POST", path, content={"json": {"name": "ü", "email": "nobody"}})
    yield Case("register_user", 422, "POST", path, JSON, {"content": b"{"})
    yield Case("register_user", 422, "POST", path, JSON | PROBLEMS, {"content": b"\xff\xfe"})
    yield Case("register_user", 422, "POST", path, {"content-type": "image/png"}, {"content": b"\x00\xff"})
    yield Case("register_user", 422, "POST", path)
    yield Case("register_user", 405, "GET", path, own=True)
    path = "/api/v1/users/authorization"
    eve = {"email": "EVE@example.org", "password": PASSWORD}
    yield Case("authorize_user", 200, "POST", path, ORIGIN, {"json": eve}, learns=_tokens)
    yield Case("authorize_user", 400, "POST", path, content={"json": {**eve, "password": "wrong one"}})
    yield Case("authorize_user", 422, "POST", path, JSON, {"content": b"[]"})
    yield Case("authorize_user", 405, "PUT", path, own=True)
    path = "/api/v1/users/refresh-token"
    yield Case("refresh_token", 200, "GET", path, {"refresh-token": "{refresh}"}, learns=_tokens)
    yield Case("refresh_token", 200, "POST", path, content={"json": {"refresh_token": "{refresh}"}}, learns=_tokens)
    yield Case("refresh_token", 401, "GET", path, {"refresh-token": "unknown"})
    yield Case("refresh_token", 422, "GET", path)
    yield Case("refresh_token", 415, "POST", path, {"content-type": "text/plain"}, {"content": b"x"})
    yield Case("refresh_token", 405, "DELETE", path, own=True)
    path = "/api/v1/users/password"
    change = {"current_password": PASSWORD, "new_password": PASSWORD[::-1]}
    yield Case("change_password", 422, "POST", path, content={"json": change})
    yield Case("change_password", 400, "POST", path, USER, {"json": {**change, "current_password": "wrong one"}})
    yield Case("change_password", 422, "POST", path, USER, {"json": {**change, "other": 1}})
    yield Case("change_password", 200, "POST", path, USER, {"json": change}, learns=_tokens)
    path = "/api/v1/users/sign-out"
    yield Case("sign_out", 422, "POST", path)
    yield Case("sign_out", 422, "POST", f"{path}?everywhere=perhaps", {"refresh-token": "{refresh}"})
    yield Case("sign_out", 204, "POST", f"{path}?everywhere=true", {"refresh-token": "{refresh}"})
    yield Case("sign_out", 204, "POST", path, {"refresh-token": "unknown"} | ORIGIN)


def _profile() -> Iterator[Case]:
    path = "/api/v1/user-info/profile-info"
    ada = {"email": "ada@example.org", "password": PASSWORD}
    yield Case("authorize_user", 200, "POST", "/api/v1/users/authorization", content={"json": ada}, learns=_tokens)
    yield Case("get_profile_info", 200, "GET", path, USER | ORIGIN)
    yield Case("get_profile_info", 200, "HEAD", path, USER)
    yield Case("get_profile_info", 422, "GET", path)
    yield Case("get_profile_info", 403, "GET", path, {"access-token": "no token"} | PROBLEMS)
    yield Case("update_profile", 200, "PATCH", path, USER, {"json": {"name": "Ada ✓ King"}})
    yield Case("update_profile", 400, "PATCH", path, USER, {"json": {"email": "a@example.org", "password": "wrong"}})
    yield Case("update_profile", 422, "PATCH", path, USER, {"json": {}})
    yield Case("update_profile", 415, "PATCH", path, USER, {"data": {"name": "Ada"}})
    yield Case("update_profile", 422, "PATCH", path, content={"json": {"name": "Ada"}})
    path = "/api/v1/user-info/generation-history"
    yield Case("get_generation_history", 200, "GET", path, USER)
    yield Case("get_generation_history", 422, "GET", path, ORIGIN)
    path = "/api/v1/user-info/export"
    yield Case("export_data", 200, "GET", path, USER)
    yield Case("export_data", 200, "HEAD", path, USER)
    yield Case("export_data", 422, "GET", f"{path}?cursor=x%26y", USER)
    yield Case("export_data", 422, "GET", path)


def _keys() -> Iterator[Case]:
    path = "/api/v1/api-keys"
    yield Case("create_api_key", 201, "POST", path, USER, {"json": {"name": "Kiosk ☂"}}, learns=_key_id)
    yield Case("create_api_key", 422, "POST", path, USER, {"json": {"name": "x", "scopes": ["all"]}})
    yield Case("create_api_key", 422, "POST", path, content={"json": {"name": "x"}})
    yield Case("list_api_keys", 200, "GET", path, USER)
    yield Case("list_api_keys", 403, "GET", path, {"access-token": ""})
    yield Case("revoke_api_key", 204, "DELETE", path + "/{key_id}", USER | ORIGIN)
    yield Case("revoke_api_key", 404, "DELETE", f"{path}/7%2F7", USER)
    yield Case("revoke_api_key", 404, "DELETE", f"{path}/" + 400 * "9", USER)
    yield Case("revoke_api_key", 422, "DELETE", f"{path}/1")


def _creation(door: str, caller: Mapping[str, str], own: str) -> Iterator[Case]:
    path, picture = f"/api/v1{door}{TASKS}", photo()
    once = {"idempotency-key": f"once-{own}"}
    taken = form(task_source_file=("me.jpg", picture))
    named = {**taken, "data": {"metadata": '{"a": "ü"}'}}
    yield Case("create_task", 201, "POST", path, {**caller, **FORM, **once, **ORIGIN}, named)
    yield Case("create_task", 201, "POST", path, {**caller, **FORM, **once}, named)
    yield Case("create_task", 422, "POST", path, {**caller, **FORM, **once}, form(task_source_file=("b", picture[:-9])))
    yield Case("create_task", 415, "POST", path, {**caller, **FORM}, form(task_source_file=("a.jpg", b"\xff\xd8\xff")))
    yield Case("create_task", 422, "POST", path, {**caller, **FORM}, form(other=("a.jpg", b"\x00")))
    yield Case("create_task", 400, "POST", path, {**caller, **FORM}, {"content": b"--frontier\r\nbroken"})
    yield Case("create_task", 422, "POST", path, {**caller, **FORM, **PROBLEMS}, form(other=("a.jpg", b"\x00")))
    yield Case("create_task", 404, "POST", path, dict(caller), {"json": {"upload_id": NOBODYS}})
    yield Case("create_task", _nobody(door), "POST", path, FORM, taken)
    yield Case("create_task", 405, "PUT", path, own=True)
    path = f"/api/v1{door}/uploads"
    yield Case("create_upload", 201, "POST", path, dict(caller), {"json": {"content_type": "image/png", "size": 9}})
    yield Case("create_upload", 422, "POST", path, dict(caller), {"json": {"content_type": "text/plain", "size": 9}})
    yield Case("create_upload", _nobody(door), "POST", path, content={"json": {"content_type": "image/png", "size": 9}})


def _reading(door: str, caller: Mapping[str, str], own: str) -> Iterator[Case]:
    path, known = f"/api/v1{door}{TASKS}", dict(caller)
    waiting, finished = f"{path}/{{waiting{own}}}", f"{path}/{{finished{own}}}"
    yield Case("list_tasks", 200, "GET", path, known)
    yield Case("list_tasks", 200, "GET", f"{path}?limit=2&status=SUCCESS&status=FAILED&status=CANCELLED", known)
    yield Case("list_tasks", 422, "GET", f"{path}?limit=many&cursor=%3D%26+%2B", known)
    yield Case("list_tasks", _nobody(door), "GET", path, ORIGIN)
    yield Case("get_task", 200, "GET", finished, known | ORIGIN, learns=_tag)
    yield Case("get_task", 304, "GET", finished, {**known, "if-none-match": "{etag}"})
    yield Case("get_task", 200, "HEAD", finished, known)
    yield Case("get_task", 200, "GET", waiting, {**known, "prefer": "wait=0"})
    yield Case("get_task", 404, "GET", f"{path}/{NOBODYS}", known)
    yield Case("get_task", 404, "GET", f"{path}/%F0%9F%98%80%20" + 500 * "a", known)
    yield Case("get_task", _nobody(door), "GET", waiting)
    yield Case("get_task_status", 200, "GET", waiting + "/status", known)
    yield Case("get_task_status", 404, "GET", f"{path}/{NOBODYS}/status", known | PROBLEMS)
    yield Case("get_task_status", _nobody(door), "GET", waiting + "/status")
    yield Case("get_task_status", 405, "POST", waiting + "/status", own=True)
    yield Case("get_task_result", 200, "GET", finished + "/result", known)
    yield Case("get_task_result", 404, "GET", waiting + "/result", known)
    yield Case("get_task_result", _stranger(door), "GET", waiting + "/result", _wrong(caller))
    yield Case("get_task_file", 302, "GET", finished + "/files/model.glb", known)
    yield Case("get_task_file", 302, "HEAD", finished + "/files/photo.jpg", known)
    yield Case("get_task_file", 404, "GET", finished + "/files/..%2Fother", known)
    yield Case("get_task_file", _nobody(door), "GET", finished + "/files/photo.jpg")


def _nobody(door: str) -> int:
    """A missing token is a missing field, as in the old system; a missing key is not."""
    return 401 if door else 422


def _stranger(door: str) -> int:
    return 401 if door else 403


def _wrong(caller: Mapping[str, str]) -> dict[str, str]:
    return dict.fromkeys(caller, "wrong")


def _changes(door: str, caller: Mapping[str, str], own: str) -> Iterator[Case]:
    path, known = f"/api/v1{door}{TASKS}", dict(caller)
    waiting, finished, cancelled, deleted = (
        f"{path}/{{{name}{own}}}" for name in ("waiting", "finished", "cancelled", "deleted")
    )
    yield Case("cancel_task", 200, "POST", cancelled + "/cancel", known | ORIGIN)
    yield Case("cancel_task", 200, "POST", cancelled + "/cancel", known)
    yield Case("cancel_task", 409, "POST", finished + "/cancel", known)
    yield Case("cancel_task", 404, "POST", f"{path}/{NOBODYS}/cancel", known)
    yield Case("cancel_task", _nobody(door), "POST", waiting + "/cancel")
    yield Case("retry_task", 201, "POST", cancelled + "/retry", {**known, "idempotency-key": f"r{own}"})
    yield Case("retry_task", 201, "POST", cancelled + "/retry", {**known, "idempotency-key": f"r{own}"})
    yield Case("retry_task", 409, "POST", waiting + "/retry", known)
    yield Case("retry_task", _stranger(door), "POST", waiting + "/retry", _wrong(caller))
    yield Case("delete_task", 204, "DELETE", deleted, known)
    yield Case("delete_task", 404, "DELETE", deleted, known | ORIGIN)
    yield Case("delete_task", _nobody(door), "DELETE", waiting)
    yield Case("delete_task", 405, "PATCH", waiting, known, own=True)


def _farewell() -> Iterator[Case]:
    path = "/api/v1/user-info"
    yield Case("erase_account", 422, "DELETE", path)
    yield Case("erase_account", 405, "GET", path, USER, own=True)
    yield Case("erase_account", 204, "DELETE", path, USER | ORIGIN)
    yield Case("erase_account", 403, "DELETE", path, USER)
    yield Case("get_profile_info", 403, "GET", "/api/v1/user-info/profile-info", USER)
