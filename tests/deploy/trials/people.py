"""What each function for people and their API keys is asked, and answers."""

from tests.deploy.world import World
from tests.functions import api

PASSWORD = "a stable of better horses"


def register_user(world: World) -> None:
    assert api.register(world.email()).status == 201


def authorize_user(world: World) -> None:
    answer = api.sign_in(world.person.email)
    assert answer.status == 200
    assert answer.json().keys() == {"access_token", "refresh_token"}


def refresh_token(world: World) -> None:
    assert api.refresh(api.sign_in(world.person.email).json()["refresh_token"]).status == 200


def get_profile_info(world: World) -> None:
    assert api.profile(world.person.headers).json()["email"] == world.person.email


def get_generation_history(world: World) -> None:
    assert world.avatar in [item["task_request_uuid"] for item in api.history(world.person.headers)]


def sign_out(world: World) -> None:
    token = api.sign_in(world.person.email).json()["refresh_token"]
    assert api.request("sign_out", "POST", "/users/sign-out", headers={"refresh-token": token}).status == 204
    assert api.refresh(token).status == 401


def change_password(world: World) -> None:
    person = world.someone()
    body = {"current_password": api.PASSWORD, "new_password": PASSWORD}
    assert api.request("change_password", "POST", "/users/password", headers=person.headers, json=body).status == 200
    assert api.sign_in(person.email, PASSWORD).status == 200


def update_profile(world: World) -> None:
    person, email = world.someone(), world.email()
    body = {"name": "Ada King", "email": email, "password": api.PASSWORD}
    path = "/user-info/profile-info"
    answer = api.request("update_profile", "PATCH", path, headers=person.headers, json=body)
    assert (answer.status, answer.json()["email"]) == (200, email)


def erase_account(world: World) -> None:
    person = world.someone()
    assert api.request("erase_account", "DELETE", "/user-info", headers=person.headers).status == 204
    assert api.sign_in(person.email).status == 400


def export_data(world: World) -> None:
    avatar = world.avatar
    answer = api.request("export_data", "GET", "/user-info/export", headers=world.person.headers)
    assert answer.status == 200
    assert avatar in answer.body.decode()


def create_api_key(world: World) -> None:
    headers, body = world.person.headers, {"name": "kiosk", "expires_in_days": 1}
    answer = api.request("create_api_key", "POST", "/api-keys", headers=headers, json=body)
    assert answer.status == 201
    key = answer.json()
    path = f"/api-keys/{key['id']}"  # a person may have only so many
    assert api.request("revoke_api_key", "DELETE", path, headers=headers).status == 204


def list_api_keys(world: World) -> None:
    answer = api.request("list_api_keys", "GET", "/api-keys", headers=world.person.headers)
    assert answer.status == 200
    assert isinstance(answer.json()["items"], list)


def revoke_api_key(world: World) -> None:
    key = api.invoke("create_api_key", {"name": "kiosk"})
    path, headers = "/3d-model-generation/tasks", {"x-api-key": key["key"]}
    assert api.request("list_tasks", "GET", f"/integrations{path}", headers=headers).status == 200
    api.invoke("revoke_api_key", {"id": key["id"]})
    assert api.request("list_tasks", "GET", f"/integrations{path}", headers=headers).status == 401
