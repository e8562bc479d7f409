"""What a browser asks before it lets the old frontend call."""

import pytest

from tests.compat.frontend import ORIGIN, Account, Frontend

pytestmark = pytest.mark.xdist_group("compat")

ROUTES = [
    ("POST", "/users/registration", "content-type"),
    ("POST", "/users/authorization", "content-type"),
    ("GET", "/users/refresh-token", "refresh-token"),
    ("POST", "/3d-model-generation/tasks", "access-token"),
    ("GET", "/3d-model-generation/tasks/1/status", "access-token"),
    ("GET", "/3d-model-generation/tasks/1/result", "access-token"),
    ("GET", "/user-info/generation-history", "access-token"),
    ("GET", "/user-info/profile-info", "access-token"),
]


@pytest.mark.parametrize(("method", "path", "header"), ROUTES)
def test_a_preflight_of_the_old_frontend_is_granted(frontend: Frontend, method: str, path: str, header: str) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": header}
    answer = frontend.http.options(path, headers=asked)
    assert answer.status_code in (200, 204)
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["access-control-max-age"] == "600"
    assert method in listed(answer.headers["access-control-allow-methods"])
    assert header in listed(answer.headers["access-control-allow-headers"].lower())


def test_a_preflight_from_elsewhere_is_not_granted(frontend: Frontend) -> None:
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "GET"}
    answer = frontend.http.options("/user-info/profile-info", headers=asked)
    assert answer.status_code < 500
    assert "access-control-allow-origin" not in answer.headers


def test_answers_and_refusals_may_be_read_by_the_old_frontend(frontend: Frontend, account: Account) -> None:
    for token, status in ((account.access_token, 200), ("garbage", 403)):
        headers = {"Origin": ORIGIN, "access-token": token}
        answer = frontend.http.get("/user-info/profile-info", headers=headers)
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert answer.headers["access-control-allow-credentials"] == "true"


def test_answers_may_not_be_read_from_elsewhere(frontend: Frontend, account: Account) -> None:
    headers = {"Origin": "http://evil.example", "access-token": account.access_token}
    answer = frontend.http.get("/user-info/profile-info", headers=headers)
    assert "access-control-allow-origin" not in answer.headers


def listed(header: str) -> list[str]:
    return [name.strip() for name in header.split(",")]
