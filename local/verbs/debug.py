"""`facet vscode`, and what `--debug` is for one call."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from local.cloud import debug_ports, project
from local.cloud.control import Client
from local.cloud.debug_ports import FIRST_PORT, HOST
from local.verbs import complete, template_option

ATTEMPT_SECONDS = 0.1

port_option = click.option(
    "--port", type=click.IntRange(1, 65_535), default=FIRST_PORT, help=f"The debugger's port, {FIRST_PORT} unless told."
)


@contextlib.contextmanager
def debugger(client: Client, root: Path, wanted: int | None) -> Iterator[int | None]:
    """The port for a call that waits for a debugger, and a word about it as soon as one can attach.

    Raises NotRunning and NoPort.
    """
    if wanted is None:
        yield None
        return
    taken = client.call("status")["debug"].values()  # those may begin to listen any moment
    port, ended = debug_ports.free(wanted, taken), threading.Event()
    if port != wanted:
        click.echo(f"Port {wanted} is taken, {port} is used.", err=True)
    announcer = threading.Thread(target=_announce, args=(root, port, ended), daemon=True)
    announcer.start()
    try:
        yield port
    finally:
        ended.set()
        announcer.join()


def _announce(root: Path, port: int, ended: threading.Event) -> None:
    while not ended.wait(ATTEMPT_SECONDS):
        if _listens(port):
            advice = "" if _launch_file(root).exists() else " `facet vscode` writes a launch configuration."
            click.echo(f"Waiting for a debugger on {HOST}:{port}, without a timeout.{advice}", err=True)
            return


def _listens(port: int) -> bool:
    """Asked of the kernel: a connection would be taken for the debugger."""
    import psutil

    try:
        found = psutil.net_connections("tcp4")
    except psutil.AccessDenied:  # macOS: only root may know
        time.sleep(1)
        return True
    return any(each.status == psutil.CONN_LISTEN and getattr(each.laddr, "port", None) == port for each in found)


@click.command()
@click.argument("functions", nargs=-1, metavar="[NAME[:PORT]]...", shell_complete=complete.functions)
@template_option
def vscode(functions: Sequence[str], template: Path | None) -> None:
    """Write .vscode/launch.json for what --debug starts.

    \b
    facet vscode                            one entry, for port 5678
    facet vscode create_task get_task:6000  one for each, as in `facet up --debug create_task --debug get_task:6000`
    """
    file = _launch_file(project.find(template).root)
    text = json.dumps(configuration(debug_ports.of(functions, debug_ports.upwards)), indent=2) + "\n"
    if file.exists():
        click.echo(f"{file} is there already and was left alone. This would have been in it:\n{text}", nl=False)
        return
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    click.echo(f"Wrote {file}. In VS Code: Run and Debug, then one of its entries.")


def configuration(ports: Mapping[str, int]) -> dict[str, Any]:
    """A launch.json; handlers run where they are, so no paths are mapped."""
    entries = [
        {
            "name": f"Facet: {name or 'attach'}",
            "type": "debugpy",
            "request": "attach",
            "connect": {"host": HOST, "port": port},
            "justMyCode": False,
        }
        for name, port in (ports or {"": FIRST_PORT}).items()
    ]
    return {"version": "0.2.0", "configurations": entries}


def _launch_file(root: Path) -> Path:
    return root / ".vscode" / "launch.json"


def import_table(answer: Mapping[str, Any]) -> str:
    """What a cold start took, and which imports took it, slowest first; of those that took nothing at most three."""
    told = [(module, ms) for place, (module, ms) in enumerate(answer["imports"]) if place < 3 or ms >= 0.1]
    rows = [f"{ms:>8.1f} ms  {module}" for module, ms in told]
    return "\n".join([f"cold start {answer['init_ms'] or 0:.0f} ms", *rows])
