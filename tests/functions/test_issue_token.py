"""A session for a user, made by an operator."""

import pytest

from avatars.users import UserNotFound
from tests.functions import api


def test_the_session_works_like_any_other() -> None:
    api.register("ada@example.org")
    pair = api.invoke("issue_token", {"email": "ADA@example.org"})
    assert set(pair) == {"access_token", "refresh_token"}
    assert api.profile({"access-token": pair["access_token"]}).json()["email"] == "ada@example.org"
    assert api.refresh(pair["refresh_token"]).status == 200


def test_an_unknown_user_is_named_as_the_cause() -> None:
    with pytest.raises(UserNotFound, match="No user has this email"):
        api.invoke("issue_token", {"email": "nobody@example.org"})
