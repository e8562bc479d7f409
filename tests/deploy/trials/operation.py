"""What each function about the service, and each that only the operator invokes, is asked, and answers."""

from tests.deploy.world import World
from tests.functions import api


def health(world: World) -> None:
    assert api.request("health", "GET", "/health/ready").json() == {"status": "ready"}


def api_docs(world: World) -> None:
    assert api.request("api_docs", "GET", "/openapi.json").json()["openapi"].startswith("3.")
    assert b"SwaggerUIBundle" in api.request("api_docs", "GET", "/docs/swagger-ui-bundle.js").body


def migrate(world: World) -> None:
    done = api.invoke("migrate", {})
    assert done["schema"]
    assert len(done["buckets"]) == 3


def list_users(world: World) -> None:
    after = world.person.user_id - 1
    assert api.invoke("list_users", {"after": after, "limit": 1})["items"][0]["email"] == world.person.email


def disable_user(world: World) -> None:
    person = world.someone()
    assert api.invoke("disable_user", {"email": person.email})["disabled_at"]
    assert api.sign_in(person.email).status == 400


def set_password(world: World) -> None:
    person = world.someone()
    api.invoke("set_password", {"email": person.email, "password": "a stable of better horses"})
    assert api.sign_in(person.email, "a stable of better horses").status == 200


def set_test_mode(world: World) -> None:
    assert api.invoke("set_test_mode", {"email": world.someone().email, "on": True})["test_mode"]


def show_task(world: World) -> None:
    shown = api.invoke("show_task", {"request_uuid": world.avatar})
    assert (shown["user_id"], shown["status"]) == (world.person.user_id, "SUCCESS")


def requeue_task(world: World) -> None:
    task = world.task()
    assert api.invoke("requeue_task", {"request_uuid": task}) == {"request_uuid": task, "number": 2}


def fail_task(world: World) -> None:
    task = world.task()
    api.invoke("fail_task", {"request_uuid": task})
    assert world.status(task) == "FAILED"


def import_legacy(world: World) -> None:
    for phase in ("users", "tasks"):
        batch = api.invoke("import_legacy", world.old.event(after=phase))
        assert batch["phase"] == phase
        assert batch["imported"] + batch["present"] > 3


def issue_token(world: World) -> None:
    pair = api.invoke("issue_token", {"email": world.person.email})
    assert api.profile({"access-token": pair["access_token"]}).status == 200
