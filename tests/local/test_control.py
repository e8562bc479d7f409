"""The control socket: only its user may open it, and what cannot be done is said in words."""

import asyncio
import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.cloud import control


async def echo(arguments: Mapping[str, Any]) -> Any:
    return {"got": dict(arguments)}


async def refuse(arguments: Mapping[str, Any]) -> Any:
    raise control.Refused("not today")


def called(run: Path, verb: str, **arguments: Any) -> Any:
    async def main() -> Any:
        async with control.serve(run, {"echo": echo, "refuse": refuse}):
            return await asyncio.to_thread(lambda: control.Client(run).call(verb, **arguments))

    return asyncio.run(main())


def test_a_verb_gets_its_arguments_and_answers(tmp_path: Path) -> None:
    assert called(tmp_path, "echo", name="ü", event={"a": [1]}) == {"got": {"name": "ü", "event": {"a": [1]}}}


@pytest.mark.parametrize(("verb", "reason"), [("refuse", "not today"), ("dance", "There is no verb /dance.")])
def test_a_refusal_carries_its_reason(tmp_path: Path, verb: str, reason: str) -> None:
    with pytest.raises(control.Refused, match=reason):
        called(tmp_path, verb)


def test_nobody_listening_is_not_running(tmp_path: Path) -> None:
    with pytest.raises(control.NotRunning, match="facet up"):
        control.Client(tmp_path).call("status")


def test_a_socket_left_by_a_killed_run_is_replaced(tmp_path: Path) -> None:
    control.socket_path(tmp_path).touch()
    assert called(tmp_path, "echo") == {"got": {}}


def test_the_socket_is_its_users_alone_and_goes_with_the_server(tmp_path: Path) -> None:
    async def mode() -> int:
        async with control.serve(tmp_path, {}):
            return stat.S_IMODE(control.socket_path(tmp_path).stat().st_mode)

    assert asyncio.run(mode()) == 0o600
    assert not control.socket_path(tmp_path).exists()


def test_a_long_path_gets_a_short_socket(tmp_path: Path) -> None:
    run = tmp_path / ("deep" * 30)
    run.mkdir()
    assert len(str(control.socket_path(run))) <= control.SOCKET_PATH_LIMIT
    assert called(run, "echo") == {"got": {}}


def test_a_call_that_is_no_json_is_refused(tmp_path: Path) -> None:
    async def main() -> httpx.Response:
        async with control.serve(tmp_path, {"echo": echo}):
            transport = httpx.AsyncHTTPTransport(uds=str(control.socket_path(tmp_path)))
            async with httpx.AsyncClient(transport=transport, base_url="http://facet") as http:
                return await http.post("/echo", content=b"{")

    answer = asyncio.run(main())
    assert answer.status_code == 409
    assert "no JSON" in json.loads(answer.content)["message"]
