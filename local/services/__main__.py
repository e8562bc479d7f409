"""The services alone, for tests: `python -m local.services --state DIR [--env FILE] [--parent PID]`."""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path

import psutil

from local.cloud import environment
from local.cloud.state import State
from local.services import records
from local.services.process import ServiceFailed
from local.services.stack import SOURCE, start_services
from local.services.supervisor import Supervisor

PARENT_POLL = 0.25


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.services", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="folder for data, logs and run/services.json")
    parser.add_argument("--env", type=Path, default=SOURCE / ".env", help="settings and secrets")
    parser.add_argument("--parent", type=int, help="stop when this process is gone")
    options = parser.parse_args()
    try:
        env = environment.read(options.env)
        asyncio.run(serve(State.open(SOURCE, options.state), env, options.parent))
    except (ServiceFailed, environment.EnvironmentUnreadable) as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


async def serve(state: State, env: dict[str, str], parent: int | None) -> None:
    """Run the services until told to stop; their settings are in run/services.json while they are ready."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    supervisor = Supervisor(_say, run=state.run)
    address = state.run / "services.json"
    ends = [asyncio.create_task(stopping.wait()), *([asyncio.create_task(_gone(parent))] if parent else [])]
    starting = asyncio.create_task(_start(state, env, supervisor, address))
    try:
        await asyncio.wait([starting, *ends], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        starting.cancel()
        [outcome] = await asyncio.gather(starting, return_exceptions=True)
        await supervisor.stop()
        if outcome is None:
            address.unlink()


async def _start(state: State, env: dict[str, str], supervisor: Supervisor, address: Path) -> None:
    await supervisor.take_over()
    address.unlink(missing_ok=True)  # what a killed run left
    _publish(address, await start_services(state, env, supervisor, _say))


async def _gone(pid: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        while records.is_alive(parent):
            await asyncio.sleep(PARENT_POLL)


def _publish(address: Path, settings: dict[str, str]) -> None:
    draft = address.with_suffix(".new")
    with open(draft, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        json.dump(settings, file)
    draft.replace(address)


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
