"""Access and refresh tokens in the headers of the old frontend."""

import time
import uuid

import httpx
import jwt
import pytest

from tests.compat.frontend import Account, Frontend
from tests.stacks import Stack

pytestmark = pytest.mark.xdist_group("compat")

SIGNED_IN_READS = [
    f"/3d-model-generation/tasks/{uuid.UUID(int=1)}/status",
    f"/3d-model-generation/tasks/{uuid.UUID(int=1)}/result",
    "/user-info/generation-history",
    "/user-info/profile-info",
]


def assert_header_is_missing(answer: httpx.Response, name: str) -> None:
    assert answer.status_code == 422
    [error] = answer.json()["detail"]
    assert error["type"] == "missing"
    assert error["loc"] == ["header", name]
    assert error["msg"] == "Field required"


@pytest.mark.parametrize("path", SIGNED_IN_READS)
def test_a_missing_access_token_is_a_422_that_names_the_header(frontend: Frontend, path: str) -> None:
    assert_header_is_missing(frontend.http.get(path), "access-token")


def test_a_photo_without_an_access_token_is_a_422_that_names_the_header(frontend: Frontend, photo: bytes) -> None:
    answer = frontend.http.post("/3d-model-generation/tasks", files={"task_source_file": ("me.jpg", photo)})
    assert_header_is_missing(answer, "access-token")


@pytest.mark.parametrize("path", SIGNED_IN_READS)
@pytest.mark.parametrize("token", ["", "garbage", "a.b.c"])
def test_a_token_that_is_none_is_a_403(frontend: Frontend, path: str, token: str) -> None:
    answer = frontend.read(token, path)
    assert answer.status_code == 403
    assert answer.json() == {"detail": "Invalid token"}


def test_a_refresh_token_opens_no_route(frontend: Frontend, account: Account) -> None:
    answer = frontend.profile(account.refresh_token)
    assert answer.status_code == 403
    assert answer.json() == {"detail": "Invalid token"}


@pytest.mark.parametrize("algorithm", ["HS256", "none"])
def test_a_token_signed_by_somebody_else_is_a_403(frontend: Frontend, account: Account, algorithm: str) -> None:
    forged = resigned(account.access_token, key="k" * 32 if algorithm == "HS256" else "", algorithm=algorithm)
    answer = frontend.profile(forged)
    assert answer.status_code == 403
    assert answer.json() == {"detail": "Invalid token"}


def test_an_expired_token_is_a_401_with_the_old_text(stack: Stack, frontend: Frontend, account: Account) -> None:
    key = stack.settings()["SECRET_KEY"]
    assert frontend.profile(resigned(account.access_token, key=key)).status_code == 200
    past = int(time.time()) - 3600
    answer = frontend.profile(resigned(account.access_token, key=key, iat=past - 900, nbf=past - 900, exp=past))
    assert answer.status_code == 401
    assert answer.json() == {"detail": "Token expired"}


def test_a_bearer_token_is_accepted_beside_the_old_header(frontend: Frontend, account: Account) -> None:
    bearer = {"Authorization": f"Bearer {account.access_token}"}
    assert frontend.http.get("/user-info/profile-info", headers=bearer).json()["email"] == account.email


def test_the_refresh_token_header_buys_two_new_tokens_that_work(frontend: Frontend, account: Account) -> None:
    answer = frontend.refresh(account.refresh_token)
    assert answer.status_code == 200
    assert set(answer.json()) == {"access_token", "refresh_token"}
    assert frontend.profile(answer.json()["access_token"]).json()["email"] == account.email
    assert frontend.refresh(answer.json()["refresh_token"]).status_code == 200


def test_a_refresh_whose_reply_was_lost_may_be_repeated(frontend: Frontend, account: Account) -> None:
    first, second = frontend.refresh(account.refresh_token), frontend.refresh(account.refresh_token)
    assert first.status_code == second.status_code == 200
    assert frontend.refresh(second.json()["refresh_token"]).status_code == 200


def test_a_stolen_refresh_token_ends_with_all_its_family(frontend: Frontend, account: Account) -> None:
    second = frontend.refresh(account.refresh_token).json()["refresh_token"]
    third = frontend.refresh(second).json()["refresh_token"]
    assert frontend.refresh(account.refresh_token).status_code == 401
    assert frontend.refresh(third).status_code == 401


def test_any_bad_refresh_token_is_a_401_with_the_old_text(frontend: Frontend, account: Account) -> None:
    for bad in ("", "garbage", "a.b.c", account.access_token, account.refresh_token[:-1]):
        answer = frontend.refresh(bad)
        assert answer.status_code == 401, bad
        assert answer.json() == {"detail": "Token expired"}


def test_a_missing_refresh_token_is_a_422_that_names_the_header(frontend: Frontend) -> None:
    assert_header_is_missing(frontend.http.get("/users/refresh-token"), "refresh-token")


def resigned(token: str, *, key: str, algorithm: str = "HS256", **changed: int) -> str:
    """The same token with some claims changed, signed with `key`."""
    claims = jwt.decode(token, options={"verify_signature": False})
    header = {name: value for name, value in jwt.get_unverified_header(token).items() if name != "alg"}
    changed = {name: value for name, value in changed.items() if name in claims}
    return jwt.encode({**claims, **changed}, key, algorithm=algorithm, headers=header)
