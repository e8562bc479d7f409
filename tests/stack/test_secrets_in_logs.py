"""The whole tour, at the most talkative log level, and not one secret of it in any log."""

import json
import re
import secrets
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.stacks import PROJECT, Stack, running, until

pytestmark = pytest.mark.xdist_group("stack")

FACE = (PROJECT / "tests" / "data" / "grace_hopper.jpg").read_bytes()
NO_FACE = (PROJECT / "tests" / "data" / "cat.png").read_bytes()
SIGNATURES = re.compile(r"X-Amz-Signature=([0-9a-f]{64})")
SECRET_FIELDS = frozenset({"access_token", "refresh_token", "key"})
SECRET_SETTINGS = ("PASSWORD", "SECRET_KEY", "ACCESS_KEY", "COOKIE")
SHAPES = {
    "a presigned URL": SIGNATURES,
    "a JSON web token": re.compile(r"eyJ[\w-]{10,}\.[\w-]{10,}"),
    "an API key": re.compile(r"avk_[a-z]+_[0-9a-f]{8}_[\w-]{20,}"),
    "a password hash": re.compile(r"\$argon2id?\$v="),
}
# Sent as the whole body, and as a `limit`: whoever asks to see such an event sees it. Logs have neither.
NAMELESS = frozenset({"a password of a bad request", "a token in a query"})
TASKS = "/3d-model-generation/tasks"


class Tourist:
    """Calls the API and remembers every secret it sent or was given, by what it was."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.http = httpx.Client(base_url=stack.api, timeout=30, trust_env=False)
        self.seen: dict[str, str] = {}

    def secret(self, name: str, length: int = 16) -> str:
        """A new one, such as a password."""
        value = secrets.token_hex(length)
        self.seen[value] = name
        return value

    def call(self, method: str, path: str, status: int, **content: Any) -> Any:
        """The JSON of the answer, or None."""
        answer = self.http.request(method, path, **content)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        self._remember(f"the answer to {method} {path}", answer.text + answer.headers.get("location", ""))
        is_json = "json" in answer.headers.get("content-type", "")
        return answer.json() if is_json and answer.content else None

    def facet(self, *arguments: str, accept: tuple[int, ...] = (0,)) -> str:
        done = self.stack.facet(*arguments, accept=accept)
        self._remember(f"the output of facet {arguments[0]}", done.stdout)
        return done.stdout

    def _remember(self, name: str, text: str) -> None:
        for signature in SIGNATURES.findall(text):
            self.seen[signature] = f"a signature in {name}"
        try:
            fields = list(_fields(json.loads(text)))
        except ValueError:
            return
        for field, value in fields:
            if field in SECRET_FIELDS and isinstance(value, str):
                self.seen[value] = f"{field} in {name}"


def _fields(document: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(document, dict):
        for name, value in document.items():
            yield name, value
            yield from _fields(value)
    elif isinstance(document, list):
        for value in document:
            yield from _fields(value)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("talkative"), settings={"LOG_LEVEL": "DEBUG"}) as stack:
        yield stack


def test_no_secret_is_in_any_log(stack: Stack) -> None:
    tourist = Tourist(stack)
    settings = stack.settings()
    tourist.seen |= {settings[name]: name for name in settings if name.endswith(SECRET_SETTINGS)}
    assert len(tourist.seen) >= 6

    tokens = accounts(tourist)
    tasks(tourist, tokens)
    integrations(tourist, tokens)
    operators(tourist, tokens["email"])
    what_goes_wrong(tourist, tokens)
    assert leaks(stack.state / "logs", tourist.seen) == []
    assert printed(stack, {value: name for value, name in tourist.seen.items() if name not in NAMELESS}) == []

    tourist.call("DELETE", "/user-info", 204, headers=bearer(tokens))
    tourist.http.close()
    until(lambda: not remembered(stack, tokens["email"]), within=10, what="nobody remembers who has left")
    stack.down()
    assert leaks(stack.state / "logs", tourist.seen) == []


def bearer(tokens: dict[str, str]) -> dict[str, str]:
    return {"authorization": f"Bearer {tokens['access_token']}"}


def accounts(tourist: Tourist) -> dict[str, str]:
    """Somebody registers, mistypes, signs in, refreshes, signs out, changes name and password."""
    email, password = f"{secrets.token_hex(6)}@example.org", tourist.secret("the password")
    wrong, better = tourist.secret("a wrong password"), tourist.secret("the next password")
    person = {"name": "Ada", "email": email, "password": password}
    tourist.call("POST", "/users/registration", 201, json=person)
    tourist.call("POST", "/users/registration", 409, json=person)
    tourist.call("POST", "/users/authorization", 400, json={"email": email, "password": wrong})
    first = tourist.call("POST", "/users/authorization", 200, json={"email": email, "password": password})
    second = tourist.call("GET", "/users/refresh-token", 200, headers={"refresh-token": first["refresh_token"]})
    third = tourist.call("POST", "/users/refresh-token", 200, json={"refresh_token": second["refresh_token"]})
    tourist.call("GET", "/users/refresh-token", 401, headers={"refresh-token": first["refresh_token"]})
    tourist.call("GET", "/user-info/profile-info", 200, headers={"access-token": third["access_token"]})
    pair = tourist.call("POST", "/users/authorization", 200, json={"email": email, "password": password})
    tourist.call("POST", "/users/sign-out", 204, headers={"refresh-token": pair["refresh_token"], **bearer(pair)})
    pair = tourist.call("POST", "/users/authorization", 200, json={"email": email, "password": password})
    wrong_change = {"current_password": wrong, "new_password": better}
    tourist.call("POST", "/users/password", 400, headers=bearer(pair), json=wrong_change)
    change = {"current_password": password, "new_password": better}
    pair = tourist.call("POST", "/users/password", 200, headers=bearer(pair), json=change)
    rename = {"name": "Countess", "email": f"new-{email}", "password": better}
    tourist.call("PATCH", "/user-info/profile-info", 200, headers=bearer(pair), json=rename)
    return {**pair, "email": f"new-{email}"}


def tasks(tourist: Tourist, tokens: dict[str, str]) -> None:
    """A photo as a form and one put where an upload says, both to the end, read in every way."""
    headers = bearer(tokens)
    form = {"task_source_file": ("me.jpg", FACE, "image/jpeg")}
    made = tourist.call("POST", TASKS, 201, headers=headers, files=form)
    place = tourist.call(
        "POST", "/uploads", 201, headers=headers, json={"content_type": "image/jpeg", "size": len(FACE)}
    )
    tourist.call("PUT", place["url"], 200, headers=place["headers"], content=FACE)
    tourist.call("PUT", place["url"].replace("X-Amz-Expires=", "X-Amz-Expires=9"), 403, content=FACE)
    given = {"upload_id": place["upload_id"], "metadata": {"order": "A-17"}}
    repeated = {**headers, "idempotency-key": secrets.token_hex(8)}
    also = tourist.call("POST", TASKS, 201, headers=repeated, json=given)
    assert tourist.call("POST", TASKS, 201, headers=repeated, json=given) == also
    for task in (made["request_uuid"], also["request_uuid"]):
        done = partial(has_come_to, tourist, task, "SUCCESS", headers)
        until(done, within=60, what=f"task {task} is done")
        whole = tourist.call("GET", f"{TASKS}/{task}", 200, headers={**headers, "prefer": "wait=1"})
        for file in whole["files"]:
            assert httpx.get(file["url"], trust_env=False).status_code == 200
            tourist.call("GET", f"{TASKS}/{task}/files/{file['name']}", 302, headers=headers)
        tourist.call("GET", f"{TASKS}/{task}/result", 200, headers=headers)
    form = {"task_source_file": ("me.png", NO_FACE, "image/png")}
    faceless = tourist.call("POST", TASKS, 201, headers=headers, files=form)["request_uuid"]
    until(lambda: has_come_to(tourist, faceless, "INVALID_INPUT", headers), within=60, what="no face was found")
    again = tourist.call("POST", f"{TASKS}/{faceless}/retry", 201, headers=headers)
    tourist.call("DELETE", f"{TASKS}/{again['request_uuid']}", 204, headers=headers)
    for path in (TASKS, "/user-info/generation-history", "/user-info/profile-info", "/user-info/export"):
        tourist.call("GET", path, 200, headers=headers)


def has_come_to(tourist: Tourist, task: str, status: str, headers: dict[str, str]) -> bool:
    return bool(tourist.call("GET", f"{TASKS}/{task}/status", 200, headers=headers) == {"status": status})


def integrations(tourist: Tourist, tokens: dict[str, str]) -> None:
    """A key is made, used, shown in a list and revoked."""
    made = tourist.call("POST", "/api-keys", 201, headers=bearer(tokens), json={"name": "kiosk"})
    form = {"task_source_file": ("me.jpg", FACE, "image/jpeg")}
    key = {"x-api-key": made["key"]}
    task = tourist.call("POST", f"/integrations{TASKS}", 201, headers=key, files=form)["request_uuid"]
    tourist.call("GET", f"/integrations{TASKS}/{task}", 200, headers=key)
    tourist.call("GET", "/api-keys", 200, headers=bearer(tokens))
    tourist.call("DELETE", f"/api-keys/{made['id']}", 204, headers=bearer(tokens))
    tourist.call("GET", f"/integrations{TASKS}/{task}", 401, headers=key)
    tourist.call("GET", f"/integrations{TASKS}", 401, headers={"x-api-key": tourist.secret("a made-up key")})


def operators(tourist: Tourist, email: str) -> None:
    """The verbs that print or are given secrets."""
    tourist.facet("token", email, "--json")
    tourist.seen[tourist.facet("token", email).strip()] = "a token of facet token"
    tourist.facet("apikey", "create", "operator", "--json")
    tourist.seen[tourist.facet("apikey", "create", "operator", "--user", email).strip()] = "a key of facet apikey"
    form = {"name": "Bob", "email": f"bob-{email}", "password": tourist.secret("a password given to invoke")}
    tourist.facet("invoke", "register_user", "--body", json.dumps(form))
    form = {"email": f"bob-{email}", "password": tourist.secret("a password an operator sets")}
    tourist.facet("invoke", "set_password", "--body", json.dumps(form))
    dsn = f"postgresql://old:{tourist.secret('the old database')}@127.0.0.1:9/old"
    s3_url = f"http://old:{tourist.secret('the old storage')}@127.0.0.1:9"
    tourist.facet("import-legacy", dsn, s3_url, accept=(1,))
    tourist.facet("import-legacy", s3_url, dsn, accept=(1,))


def what_goes_wrong(tourist: Tourist, tokens: dict[str, str]) -> None:
    """Secrets where nobody expects them: too long, broken, in the query."""
    word = tourist.secret("a password of a bad request")
    for body in ({"password": word}, {"name": "\0", "email": "a@example.org", "password": word}, [word], word):
        tourist.call("POST", "/users/registration", 422, json=body)
    tourist.call("POST", "/users/authorization", 422, json={"email": "a@example.org", "password": word * 99})
    tourist.call("POST", "/users/registration", 422, content=f'{{"password": "{word}"')
    form = {"name": "Ada", "email": f"{word}@nowhere", "password": word}
    tourist.call("POST", "/users/registration", 422, json=form)
    broken = f"{tokens['access_token']}{tourist.secret('the end of a broken token')}"
    tourist.call("GET", "/user-info/profile-info", 403, headers={"access-token": broken})
    tourist.call("GET", "/user-info/profile-info", 403, headers={"access-token": tourist.secret("no token at all")})
    tourist.call("GET", TASKS, 422, params={"limit": tourist.secret("a token in a query")}, headers=bearer(tokens))
    tourist.call("POST", TASKS, 415, headers=bearer(tokens), files={"task_source_file": ("a.jpg", word.encode())})


def printed(stack: Stack, seen: dict[str, str]) -> list[str]:
    """What each verb that prints what functions were given gives away: the verb and the secret."""
    records = json.loads(stack.facet("records", "-n", "1000", "--json").stdout)
    assert {"register_user", "authorize_user", "create_task", "create_api_key"} <= {
        each["function"] for each in records
    }
    samples = list({(each["function"], each["http_status"]): each for each in records}.values())
    verbs = [["show", each["request_id"]] for each in samples]
    verbs += [["logs", "--request", each["request_id"], "--json"] for each in samples if each["status"] != "success"]
    verbs += [["trace", each["trace_id"]] for each in samples if each["function"] == "create_task"]
    verbs += [["logs", "-n", "100000"], ["logs", "--errors"], ["records", "--errors"], ["status", "--json"]]
    found = []
    for verb in verbs:
        output = stack.facet(*verb, accept=(0, 1)).stdout
        found += [f"{' '.join(verb)}: {name}" for value, name in seen.items() if value in output]
        found += [f"{' '.join(verb)}: {name}" for name, shape in SHAPES.items() if shape.search(output)]
    return found


def remembered(stack: Stack, email: str) -> list[Path]:
    """The files of records and logs of functions in which somebody's address is."""
    folders = (stack.state / "records", stack.state / "logs" / "functions")
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    return [file for file in files if email.encode() in file.read_bytes()]


def leaks(logs: Path, seen: dict[str, str]) -> list[str]:
    """Where a secret, or what looks like one, is found: what it is, the file and the beginning of the line."""
    files = [file for file in logs.rglob("*") if file.is_file()]
    names = {file.name for file in files}
    assert {"postgres.log", "rabbitmq.log", "objects.log", "agent.log", "create_task.log", "up.log"} <= names
    found = []
    for file in files:
        for line in file.read_text(errors="replace").splitlines():
            found += [f"{name}: {file.name}: {line[:300]}" for value, name in seen.items() if value in line]
            found += [f"{name}: {file.name}: {line[:300]}" for name, shape in SHAPES.items() if shape.search(line)]
    return found
