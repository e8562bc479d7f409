"""The two forms of an error: the old one by default, problem details for who asks."""

import uuid

import pytest

from tests.compat.frontend import Account, Frontend

pytestmark = pytest.mark.xdist_group("compat")

PATHS = [f"/3d-model-generation/tasks/{uuid.UUID(int=1)}/status", "/user-info/profile-info"]


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html, */*;q=0.1"])
def test_an_old_client_gets_detail_and_nothing_else(frontend: Frontend, account: Account, accept: str) -> None:
    headers = {"Accept": accept, "access-token": account.access_token}
    answer = frontend.http.get(PATHS[0], headers=headers)
    assert answer.status_code == 404
    assert answer.headers["content-type"].split(";")[0] == "application/json"
    assert set(answer.json()) == {"detail"}


@pytest.mark.parametrize(("path", "token", "status"), [(PATHS[0], None, 404), (PATHS[1], "garbage", 403)])
def test_who_asks_for_problem_details_gets_them_with_the_same_detail(
    frontend: Frontend, account: Account, path: str, token: str | None, status: int
) -> None:
    headers = {"access-token": token or account.access_token}
    old = frontend.http.get(path, headers=headers)
    new = frontend.http.get(path, headers={**headers, "Accept": "application/problem+json"})
    assert old.status_code == new.status_code == status
    assert new.headers["content-type"].split(";")[0] == "application/problem+json"
    assert new.json()["status"] == status
    assert new.json()["detail"] == old.json()["detail"]
    assert {"type", "title", "code"} <= set(new.json())
