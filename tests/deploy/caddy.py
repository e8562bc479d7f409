"""A real Caddy, of the system or out of Debian's package, with the Caddyfile of compose.yaml."""

import asyncio
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from local.cloud.state import SERVERS
from local.services import debian
from tests.stacks import free_port

CADDYFILE = Path(__file__).parents[2] / "infra/compose/Caddyfile"
API, STORAGE = "avatars.test", "files.test"


def program() -> Path:
    """Raises debian.Unavailable."""
    if installed := shutil.which("caddy"):
        return Path(installed)
    target = Path(os.environ.get("FACET_SERVERS") or SERVERS).resolve() / "caddy"
    root = asyncio.run(debian.unpack(["caddy"], target, lambda _: None, adapt=lambda _: None))
    return root / "usr/bin/caddy"


def ask(caddy: Path, *arguments: str, settings: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """`caddy ARGUMENTS` on the Caddyfile."""
    command = [str(caddy), *arguments, "--config", str(CADDYFILE), "--adapter", "caddyfile"]
    return subprocess.run(command, env=dict(settings), capture_output=True, text=True, timeout=30, check=False)


@dataclass(frozen=True)
class Ports:
    """Where a proxy will listen."""

    http: int
    https: int
    health: int

    @classmethod
    def free(cls) -> "Ports":
        return cls(free_port(), free_port(), free_port())

    @property
    def storage_url(self) -> str:
        return f"https://{STORAGE}:{self.https}"


@dataclass(frozen=True)
class Proxy:
    ports: Ports
    data: Path
    log: Path

    def client(self, host: str, *, address: str = "127.0.0.1", secure: bool = True) -> httpx.Client:
        """A client at this loopback address that knows the proxy by this name and believes its certificates."""
        port = self.ports.https if secure else self.ports.http
        certificates = self.data / "caddy/pki/authorities/local/root.crt"
        trusted = ssl.create_default_context(cafile=certificates) if secure else False
        transport = _Named(host, port, httpx.HTTPTransport(verify=trusted, local_address=address, retries=0))
        return httpx.Client(base_url=f"http{'s' if secure else ''}://{host}:{port}", transport=transport, timeout=60)


class _Named(httpx.BaseTransport):
    """Sends to 127.0.0.1 what is for `host`, which no name server knows."""

    def __init__(self, host: str, port: int, transport: httpx.HTTPTransport) -> None:
        self._host, self._port, self._transport = host, port, transport

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert (request.url.host, request.url.port) == (self._host, self._port)
        request.extensions = {**request.extensions, "sni_hostname": self._host}
        request.url = request.url.copy_with(host="127.0.0.1")
        return self._transport.handle_request(request)

    def close(self) -> None:
        self._transport.close()


@contextmanager
def running(caddy: Path, ports: Ports, folder: Path, **settings: Any) -> Iterator[Proxy]:
    """The proxy as with FACET_DOMAIN, but with certificates of its own."""
    options = f"local_certs\nskip_install_trust\nhttp_port {ports.http}\nhttps_port {ports.https}"
    proxy = Proxy(ports, folder / "data", folder / "proxy.log")
    environment = {"HOME": str(folder), "XDG_DATA_HOME": str(proxy.data), "XDG_CONFIG_HOME": str(folder / "config")}
    environment |= {"FACET_SITE": API, "FACET_STORAGE_SITE": STORAGE, "PROXY_OPTIONS": options}
    environment |= {"PROXY_HEALTH": f"127.0.0.1:{ports.health}", **settings}
    command = [str(caddy), "run", "--config", str(CADDYFILE), "--adapter", "caddyfile"]
    with proxy.log.open("wb") as log, subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process:
        try:
            _await(proxy, process)
            yield proxy
        finally:
            process.terminate()
            process.wait(15)


def _await(proxy: Proxy, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while True:
        assert process.poll() is None, proxy.log.read_text()
        assert time.monotonic() < deadline, proxy.log.read_text()
        try:
            if httpx.get(f"http://127.0.0.1:{proxy.ports.health}/health", trust_env=False).status_code == 204:
                return
        except httpx.TransportError:
            time.sleep(0.05)
