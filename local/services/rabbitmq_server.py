"""Where RabbitMQ's programs come from: those of the system, else Debian's packages, unpacked for this project."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local.cloud.state import State
from local.services import debian
from local.services.process import ServiceFailed

ERLANG_PARTS = "base crypto eldap inets mnesia os-mon parsetools public-key runtime-tools ssl syntax-tools tools xmerl"
PACKAGES = ("rabbitmq-server", *(f"erlang-{part}" for part in f"{ERLANG_PARTS} asn1 snmp ftp tftp".split()))
OTHER_WAYS = (
    "next: install it (`apt install rabbitmq-server`, `brew install rabbitmq`), or set RABBITMQ_HOST in .env "
    "to a broker of yours, or run the containers with `make deploy`"
)
PACKAGED = Path("/usr/lib/rabbitmq/lib")
FATAL_IN_PATH = " \t\n\"'\\`$&|;<>()*?#"


@dataclass(frozen=True)
class Server:
    """Where the programs are: the folder of `rabbitmq-server` itself, `epmd`, and what PATH must start with."""

    sbin: Path
    epmd: Path
    path: str


async def find(state: State, report: Callable[[str], None]) -> Server:
    """The programs, fetched if need be; raises ServiceFailed."""
    return installed() or await _unpacked(state, report)


def installed() -> Server | None:
    """A server of the system, by its own script: the one in /usr/sbin changes the user."""
    found = sorted(PACKAGED.glob("rabbitmq_server-*/sbin/rabbitmq-server"))
    on_path = shutil.which("rabbitmq-server")
    script = found[-1] if found else Path(on_path).resolve() if on_path else None
    epmd = shutil.which("epmd")
    return Server(script.parent, Path(epmd), os.environ.get("PATH", os.defpath)) if script and epmd else None


async def _unpacked(state: State, report: Callable[[str], None]) -> Server:
    target = state.server / "rabbitmq"
    if any(character in str(target) for character in FATAL_IN_PATH):
        raise ServiceFailed(
            "rabbitmq",
            f"its scripts cannot run from {target}, because of a space or another special character",
            advice="next: set the environment variable FACET_SERVERS to a folder without one",
        )
    try:
        root = await debian.unpack(
            PACKAGES, target, lambda line: report(f"rabbitmq: {line}"), adapt=lambda draft: _relocate(draft, target)
        )
    except debian.Unavailable as problem:
        raise ServiceFailed("rabbitmq", str(problem), advice=OTHER_WAYS) from problem
    erlang = root / "usr/lib/erlang/bin"
    sbin = next((root / "usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin"))
    return Server(sbin, erlang / "epmd", f"{erlang}:{os.environ.get('PATH', os.defpath)}")


def _relocate(draft: Path, target: Path) -> None:
    """Erlang's scripts name the folder they are installed in."""
    erlang = draft / "usr/lib/erlang"
    for script in (erlang / "bin/erl", erlang / "bin/start", *erlang.glob("erts-*/bin/erl")):
        moved = script.read_text().replace("ROOTDIR=/usr/lib/erlang", f'ROOTDIR="{target}/usr/lib/erlang"')
        script.write_text(moved)
