"""One machine: Caddy with the proxy's configuration, before functions and an S3 server, over TLS."""

import concurrent.futures
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from local.services import debian
from tests.conftest import Settings
from tests.deploy import caddy as caddies
from tests.deploy.caddy import API, STORAGE, Ports, Proxy
from tests.infra import containers
from tests.stacks import UNLIMITED, free_port

pytestmark = pytest.mark.xdist_group("proxy")
COMPOSE = Path(__file__).parents[2] / "compose.yaml"
PHOTO = Path(__file__).parents[1] / "data/cat.png"
FORGER, UPLOADER = "127.0.0.2", "127.0.0.3"
BALANCER = "127.0.0.4"


@dataclass
class Machine:
    """The proxy and what it serves."""

    proxy: Proxy
    environment: dict[str, str]
    functions: ExitStack

    def api(self, address: str = "127.0.0.1") -> httpx.Client:
        return self.proxy.client(API, address=address)

    def storage(self) -> httpx.Client:
        return self.proxy.client(STORAGE)


@pytest.fixture(scope="module")
def caddy() -> Path:
    try:
        return caddies.program()
    except debian.Unavailable as problem:
        pytest.skip(f"no Caddy: {problem}")


@pytest.fixture(scope="module")
def machine(caddy: Path, migrated: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    ports, folder, port = Ports.free(), tmp_path_factory.mktemp("proxy"), free_port()
    settings = {**migrated, **UNLIMITED, "MINIO_PUBLIC_URL": ports.storage_url}
    settings |= {"LIMIT_REGISTRATIONS_PER_ADDRESS": "2/3600", "TRUSTED_PROXIES": f"127.0.0.1/32,{BALANCER}/32"}
    environment = containers.environment(settings, folder)
    environment |= {"APP_PORT": str(port), "APP_ALLOWED_HOSTS": API}
    served = {"FUNCTIONS_ADDRESS": f"127.0.0.1:{port}", "PROXY_TRUSTS": f"{BALANCER}/32"}
    served |= {"STORAGE_ADDRESS": migrated["MINIO_HOST"].removeprefix("http://")}
    with ExitStack() as functions, caddies.running(caddy, ports, folder, **served) as proxy:
        functions.enter_context(containers.running(environment, "functions"))
        yield Machine(proxy, environment, functions)


@pytest.mark.parametrize(
    "settings",
    [{}, {"FACET_SITE": API, "FACET_STORAGE_SITE": STORAGE}, {"PROXY_OPTIONS": "local_certs"}],
    ids=["without a domain", "with one", "with its own certificates"],
)
def test_caddy_takes_the_configuration(caddy: Path, settings: dict[str, str], tmp_path: Path) -> None:
    done = caddies.ask(caddy, "validate", settings={"HOME": str(tmp_path), **settings})
    assert done.returncode == 0, done.stderr
    assert "not formatted" not in done.stderr


def test_caddy_would_find_a_mistake(caddy: Path, tmp_path: Path) -> None:
    done = caddies.ask(caddy, "validate", settings={"HOME": str(tmp_path), "PROXY_OPTIONS": "local_certificates"})
    assert done.returncode != 0
    assert "local_certificates" in done.stderr


def test_without_a_domain_nothing_asks_for_a_certificate(caddy: Path, tmp_path: Path) -> None:
    adapted = json.loads(caddies.ask(caddy, "adapt", settings={"HOME": str(tmp_path)}).stdout)
    asked = httpx.URL(yaml.safe_load(COMPOSE.read_text())["services"]["proxy"]["healthcheck"]["test"][-1])
    servers = adapted["apps"]["http"]["servers"].values()
    assert {server["listen"][0] for server in servers} == {asked.netloc.decode(), ":80", ":9000"}
    assert "tls" not in adapted["apps"]


def registered(client: httpx.Client, name: str, **headers: str) -> httpx.Response:
    body = {"name": "Bo", "email": f"{name}@example.com", "password": "correct horse battery"}
    return client.post("/api/v1/users/registration", json=body, headers=headers)


def test_a_call_of_the_api_is_answered_over_tls_with_the_headers_of_a_safe_site(machine: Machine) -> None:
    with machine.api() as client:
        answer = client.get("/health/ready")
    assert answer.json() == {"status": "ready"}
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert not {"server", "via"} & set(answer.headers)


def test_a_functions_own_url_is_reached_too(machine: Machine) -> None:
    with machine.api() as client:
        assert client.get("/fn/health/health/live").status_code == 200


def test_plain_http_is_sent_to_https(machine: Machine) -> None:
    with machine.proxy.client(API, secure=False) as client:
        answer = client.get("/health/live")
    assert answer.status_code == 308
    assert answer.headers["location"].startswith(f"https://{API}")


def test_a_photo_goes_up_and_a_task_is_made_by_a_presigned_url_of_the_storages_name(machine: Machine) -> None:
    photo = PHOTO.read_bytes()
    with machine.api(UPLOADER) as api, machine.storage() as storage:
        assert registered(api, "uploader").status_code == 201
        account = {"email": "uploader@example.com", "password": "correct horse battery"}
        token = {"access-token": api.post("/api/v1/users/authorization", json=account).json()["access_token"]}
        wanted = {"content_type": "image/png", "size": len(photo)}
        upload = api.post("/api/v1/uploads", json=wanted, headers=token).json()
        assert upload["url"].startswith(machine.proxy.ports.storage_url)
        stored = storage.put(upload["url"], content=photo, headers=upload["headers"])
        assert stored.status_code == 200, stored.text
        task = api.post("/api/v1/3d-model-generation/tasks", json={"upload_id": upload["upload_id"]}, headers=token)
        assert task.status_code == 201, task.text
        read = storage.get(task.json()["source_file_path"])
    assert read.status_code == 200
    assert read.headers["content-security-policy"] == "default-src 'none'; sandbox"
    log = machine.proxy.log.read_text()
    assert '"uri":"/' in log
    assert not [secret for secret in ("X-Amz-Signature", "X-Amz-Credential", token["access-token"]) if secret in log]


def test_a_presigned_url_asked_by_another_name_is_refused(machine: Machine) -> None:
    with machine.proxy.client(API) as client:
        assert client.get("/3d-files/a?X-Amz-Signature=0").status_code == 404


@pytest.mark.parametrize(
    "path", ["/", "/minio/admin/v3/info", "/minio/health/live", "//minio/admin", "/%6dinio/v2/metrics"]
)
def test_the_inside_of_the_storage_stays_inside(machine: Machine, path: str) -> None:
    with machine.storage() as client:
        url = f"{machine.proxy.ports.storage_url}{path}"
        assert client.get(url).status_code == 404
        assert client.post(url, content=b"Action=AssumeRole").status_code == 404


def test_clients_are_held_to_their_own_address_and_cannot_choose_another(machine: Machine) -> None:
    with machine.api(FORGER) as client:
        forged = [registered(client, f"forged{n}", **{"X-Forwarded-For": f"198.51.100.{n}"}) for n in range(3)]
    assert [answer.status_code for answer in forged] == [201, 201, 429]


def test_a_balancer_before_the_proxy_may_speak_for_others_where_it_is_named(machine: Machine) -> None:
    with machine.api(BALANCER) as client:
        answers = [registered(client, f"balanced{n}", **{"X-Forwarded-For": f"203.0.113.{n}"}) for n in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 201]


def test_what_is_longer_than_a_function_takes_is_a_413_that_names_the_way_around(machine: Machine) -> None:
    with machine.api() as client:
        answer = client.post("/api/v1/3d-model-generation/tasks", content=bytes(12_000_000))
    assert answer.status_code == 413
    assert "/uploads" in answer.json()["detail"]


def test_what_is_longer_than_the_proxy_takes_is_a_413_too(machine: Machine) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(20):
            yield bytes(1_000_000)

    with machine.api() as client:
        for content in (bytes(20_000_000), chunks()):
            answer = client.post("/api/v1/users/authorization", content=content)
            assert answer.status_code == 413


def test_a_request_waits_for_functions_that_are_being_replaced(machine: Machine) -> None:
    machine.functions.close()
    with machine.api() as client, concurrent.futures.ThreadPoolExecutor() as pool:
        asked = pool.submit(client.get, "/health/live")
        machine.functions.enter_context(containers.running(machine.environment, "functions"))
        assert asked.result(30).status_code == 200


def test_who_speaks_no_tls_there_gets_no_answer_of_the_api(machine: Machine) -> None:
    with socket.create_connection(("127.0.0.1", machine.proxy.ports.https), timeout=5) as plain:
        plain.sendall(f"GET /health/live HTTP/1.1\r\nHost: {API}\r\n\r\n".encode())
        assert plain.recv(4096).startswith(b"HTTP/1.0 400")
