"""Registration and signing in, as the old frontend does them."""

import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.compat.frontend import PASSWORD, Account, Frontend

pytestmark = pytest.mark.xdist_group("compat")


def test_registration_answers_201_with_an_integer_user_id_and_nothing_else(frontend: Frontend) -> None:
    answer = frontend.register("Grace", f"{secrets.token_hex(6)}@example.org", PASSWORD)
    assert answer.status_code == 201
    assert answer.headers["content-type"].split(";")[0] == "application/json"
    assert set(answer.json()) == {"user_id"}
    assert type(answer.json()["user_id"]) is int


def test_a_taken_email_is_a_409_with_the_old_text(frontend: Frontend, account: Account) -> None:
    answer = frontend.register("Somebody else", account.email, PASSWORD)
    assert answer.status_code == 409
    assert answer.json() == {"detail": "User with this email already exists"}


def test_an_email_is_taken_in_any_case(frontend: Frontend, account: Account) -> None:
    answer = frontend.register("Somebody else", account.email.upper(), PASSWORD)
    assert answer.status_code == 409
    assert answer.json() == {"detail": "User with this email already exists"}


def test_of_several_registrations_at_once_one_gets_the_email(frontend: Frontend) -> None:
    email = f"{secrets.token_hex(6)}@example.org"
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda name: frontend.register(name, email, PASSWORD), "abcd"))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]


@pytest.mark.parametrize("missing", ["name", "email", "password"])
def test_registration_without_a_field_is_a_422_that_names_it(frontend: Frontend, missing: str) -> None:
    body = {"name": "Grace", "email": "grace@example.org", "password": PASSWORD}
    del body[missing]
    answer = frontend.http.post("/users/registration", json=body)
    assert answer.status_code == 422
    assert set(answer.json()) == {"detail"}
    [error] = answer.json()["detail"]
    assert error["type"] == "missing"
    assert error["loc"] == ["body", missing]
    assert error["msg"] == "Field required"
    assert PASSWORD not in answer.text


@pytest.mark.parametrize(
    ("field", "value"),
    [("email", "no address"), ("email", 7), ("name", ""), ("password", "short"), ("password", "long" * 65)],
)
def test_a_field_that_is_refused_is_a_422_that_names_it(frontend: Frontend, field: str, value: object) -> None:
    body = {"name": "Grace", "email": f"{secrets.token_hex(6)}@example.org", "password": PASSWORD, field: value}
    answer = frontend.http.post("/users/registration", json=body)
    assert answer.status_code == 422
    [error] = answer.json()["detail"]
    assert error["loc"] == ["body", field]
    assert {"type", "msg"} <= set(error)


def test_authorization_answers_200_with_two_tokens_and_nothing_else(frontend: Frontend, account: Account) -> None:
    answer = frontend.authorize(account.email, PASSWORD)
    assert answer.status_code == 200
    assert set(answer.json()) == {"access_token", "refresh_token"}
    assert all(type(token) is str and token for token in answer.json().values())


def test_an_email_signs_in_in_any_case(frontend: Frontend, account: Account) -> None:
    assert frontend.authorize(account.email.upper(), PASSWORD).status_code == 200


def test_a_wrong_password_and_an_unknown_email_get_the_same_400(frontend: Frontend, account: Account) -> None:
    wrong = frontend.authorize(account.email, "not my password")
    unknown = frontend.authorize(f"nobody-{account.email}", PASSWORD)
    assert wrong.status_code == unknown.status_code == 400
    assert wrong.json() == unknown.json() == {"detail": "Wrong email or password"}


@pytest.mark.parametrize("missing", ["email", "password"])
def test_authorization_without_a_field_is_a_422_that_names_it(frontend: Frontend, missing: str) -> None:
    body = {"email": "grace@example.org", "password": PASSWORD}
    del body[missing]
    answer = frontend.http.post("/users/authorization", json=body)
    assert answer.status_code == 422
    [error] = answer.json()["detail"]
    assert (error["type"], error["loc"]) == ("missing", ["body", missing])


def test_a_password_counts_beyond_its_72nd_byte(frontend: Frontend) -> None:
    email = f"{secrets.token_hex(6)}@example.org"
    assert frontend.register("Long", email, "x" * 80 + "right").status_code == 201
    assert frontend.authorize(email, "x" * 80 + "wrong").status_code == 400
    assert frontend.authorize(email, "x" * 80 + "right").status_code == 200
