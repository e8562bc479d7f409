"""What the emulator itself costs, with the handlers of the sample project, which do next to nothing."""

import asyncio
import dataclasses
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from local.invoker import Invoker
from local.sandbox.how import How
from local.template import Template, load
from tests.stacks import PROJECT, running

EVENT = json.dumps({"pathParameters": {"id": "7"}}).encode()


def warm(folder: Path) -> Iterator[tuple[str, list[float]]]:
    """Seconds of requests in turn to a function's URL and through a route: both meet the same load."""
    shop = shutil.copytree(PROJECT / "tests" / "sample_project", folder / "shop")
    paths = {"its URL": "/fn/orders/", "a route of an HTTP API": "/orders/7"}
    seconds: dict[str, list[float]] = {what: [] for what in paths}
    with (
        running(folder, options=("--template", str(shop / "template.yaml"))) as stack,
        httpx.Client(base_url=stack.gateway) as http,
    ):
        for _ in range(1000):
            for what, path in paths.items():
                begun = time.perf_counter()
                http.get(path).raise_for_status()
                seconds[what].append(time.perf_counter() - begun)
        yield from seconds.items()


def cold(folder: Path, *, how: How, times: int) -> list[float]:
    """Seconds from the event to the answer of functions that no sandbox has imported yet."""
    template = load(PROJECT / "tests" / "sample_project" / "template.yaml")
    orders = template.functions["orders"]
    many = {f"orders_{number}": dataclasses.replace(orders, name=f"orders_{number}") for number in range(times)}
    return asyncio.run(_cold(dataclasses.replace(template, functions=many), folder, how))


async def _cold(template: Template, folder: Path, how: How) -> list[float]:
    invoker = Invoker(template, logs=folder / "logs")
    await invoker.start()
    try:
        seconds = []
        for name in template.functions:
            begun = time.perf_counter()
            done = await invoker.invoke(name, EVENT, how=how)
            seconds.append(time.perf_counter() - begun)
            assert done.report.cold, done.log
        return seconds
    finally:
        await invoker.stop()
