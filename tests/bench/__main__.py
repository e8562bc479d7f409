"""`make bench`: figures of one machine, one after the other, on a stack of its own. Nothing here passes or fails."""

import asyncio
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing import Process, Value
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import boto3
import httpx
import psutil
from botocore.config import Config

from local.sandbox.how import How
from tests.bench import cold, emulator, load
from tests.stack import crowd
from tests.stacks import PROJECT, Stack, running

PHOTO = (PROJECT / "tests/data/astronaut.png").read_bytes()
PASSWORD = "correct horse battery staple"
MEGABYTE = 1_000_000


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="facet-bench-") as folder:
        for line in emulated(Path(folder)):
            say(*line)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="facet-bench-") as folder, running(Path(folder)) as stack:
        say("stack ready", f"{time.perf_counter() - begun:.1f} s")
        with httpx.Client(base_url=stack.api, timeout=60) as http:
            for measure in (invocations, sign_in, tasks):
                for line in measure(http):
                    say(*line)
        for measured in (cold_starts, pressed, waiting, objects):
            for line in measured(stack):
                say(*line)


def say(what: str, figure: str) -> None:
    sys.stdout.write(f"{what:<58} {figure}\n")
    sys.stdout.flush()


def emulated(folder: Path) -> Iterator[tuple[str, str]]:
    """A handler that returns at once: what all that stands before it costs."""
    for what, seconds in emulator.warm(folder):
        yield f"warm invocation by {what}", spread(seconds)
    yield "cold invocation, forked from the zygote", spread(emulator.cold(folder, how=How(), times=40))
    yield "honest cold: a new interpreter", spread(emulator.cold(folder, how=How(fresh=True), times=10))


def invocations(http: httpx.Client) -> Iterator[tuple[str, str]]:
    live = timed(500, lambda: http.get("/health/live").raise_for_status())
    yield "warm invocation through the gateway (/health/live)", spread(live)
    headers = {"access-token": signed_in(http)}
    profile = timed(300, lambda: http.get("/user-info/profile-info", headers=headers).raise_for_status())
    yield "one query (/user-info/profile-info)", spread(profile)
    begun = time.perf_counter()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: http.get("/user-info/profile-info", headers=headers).raise_for_status(), range(1000)))
    yield "the same, 16 clients", f"{1000 / (time.perf_counter() - begun):.0f}/s"


def cold_starts(stack: Stack) -> Iterator[tuple[str, str]]:
    with httpx.Client(base_url=stack.api, timeout=60) as http:
        token = signed_in(http)
    for name, seconds in cold.starts(stack, token, PHOTO):
        yield f"honest cold start of {name}, first answer", spread(seconds)


def sign_in(http: httpx.Client) -> Iterator[tuple[str, str]]:
    """A known and an unknown e-mail in turn, so that both see the same machine."""
    email = f"{secrets.token_hex(8)}@example.com"
    http.post("/users/registration", json={"name": "B", "email": email, "password": PASSWORD}).raise_for_status()
    known, unknown = [], []
    for _ in range(40):
        known += timed(1, lambda: http.post("/users/authorization", json={"email": email, "password": "wrong one"}))
        other = {"email": f"{secrets.token_hex(8)}@example.com", "password": "wrong one"}
        unknown += timed(1, partial(http.post, "/users/authorization", json=other))
    yield "refused sign-in, known e-mail", spread(known)
    yield "refused sign-in, unknown e-mail", spread(unknown)


def tasks(http: httpx.Client) -> Iterator[tuple[str, str]]:
    headers = {"access-token": signed_in(http)}

    def create() -> str:
        files = {"task_source_file": PHOTO}
        answer = http.post("/3d-model-generation/tasks", headers=headers, files=files).raise_for_status()
        uuid: str = answer.json()["request_uuid"]
        return uuid

    def finished(uuid: str) -> None:
        while http.get(f"/3d-model-generation/tasks/{uuid}/status", headers=headers).json()["status"] != "SUCCESS":
            time.sleep(0.02)

    yield "photo to avatar, one at a time", spread(timed(10, lambda: finished(create())))
    begun = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        uuids = list(pool.map(lambda _: create(), range(40)))
    yield "creates, 8 clients, 791 KB PNG of 512 x 512", f"{40 / (time.perf_counter() - begun):.1f}/s"
    for uuid in uuids:
        finished(uuid)
    yield "those 40 avatars by one agent", f"{40 / (time.perf_counter() - begun):.1f}/s"


def pressed(stack: Stack) -> Iterator[tuple[str, str]]:
    """Two hundred clients for a minute: a handler that returns at once, then one with a query."""
    process = psutil.Process(stack.status()["pid"])
    with httpx.Client(base_url=stack.api, timeout=60) as http:
        headers = {"access-token": signed_in(http)}
    for path, expected in (("/health/live", b"live"), ("/user-info/profile-info", b"email")):
        url = stack.api + path
        pressing = load.press(url, clients=200, seconds=30, headers=headers, expected=expected, process=process)
        yield f"{path}, 200 clients for 30 s", str(asyncio.run(pressing))


def waiting(stack: Stack) -> Iterator[tuple[str, str]]:
    """Reads without and with clients that wait for a task and ask again for ever, in a process of their own."""
    with httpx.Client(base_url=stack.api, timeout=60) as http:
        task = f"{crowd.TASKS}/{crowd.stuck(stack, http)}"

        def read(path: str) -> list[float]:
            """Spread over ten seconds: the clients come in waves."""
            seconds = []
            for _ in range(400):
                seconds += timed(1, lambda: http.get(path).raise_for_status())
                time.sleep(0.025)
            return seconds

        yield "a status, nobody waiting", spread(read(f"{task}/status"))
        yield "a whole task, nobody waiting", spread(read(task))
        answers = Value("i", 0)
        clients = Process(target=stay, args=(stack.api, task, http.headers["access-token"], answers), daemon=True)
        clients.start()
        time.sleep(5)  # until all are there
        begun, before = time.perf_counter(), answers.value
        yield f"a status, {crowd.CLIENTS} clients waiting", spread(read(f"{task}/status"))
        yield f"a whole task, {crowd.CLIENTS} clients waiting", spread(read(task))
        yield "answers to those meanwhile", f"{(answers.value - before) / (time.perf_counter() - begun):.0f}/s"
        assert clients.is_alive(), "a waiting client was refused"
        clients.terminate()
        clients.join()


def stay(api: str, path: str, token: str, answers: "Synchronized[int]") -> None:
    asyncio.run(crowd.stay(api, path, token, answers))


def objects(stack: Stack) -> Iterator[tuple[str, str]]:
    settings = stack.settings()
    s3 = boto3.client(
        "s3",
        endpoint_url=stack.services["objects"]["url"],
        aws_access_key_id=settings["MINIO_ACCESS_KEY"],
        aws_secret_access_key=settings["MINIO_SECRET_KEY"],
        region_name="us-east-1",
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    s3.create_bucket(Bucket="bench")
    for size, count in ((MEGABYTE // 10, 300), (10 * MEGABYTE, 10)):
        body = secrets.token_bytes(size)
        puts = timed(count, partial(s3.put_object, Bucket="bench", Key="object", Body=body))
        gets = timed(count, lambda: s3.get_object(Bucket="bench", Key="object")["Body"].read())
        yield f"object store, {size:,} bytes, one connection", f"{rate(puts)} puts/s, {rate(gets)} gets/s"


def signed_in(http: httpx.Client) -> str:
    email = f"{secrets.token_hex(8)}@example.com"
    http.post("/users/registration", json={"name": "B", "email": email, "password": PASSWORD}).raise_for_status()
    answer = http.post("/users/authorization", json={"email": email, "password": PASSWORD}).raise_for_status()
    token: str = answer.json()["access_token"]
    return token


def timed(count: int, call: Callable[[], object]) -> list[float]:
    seconds = []
    for _ in range(count):
        begun = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begun)
    return seconds


def spread(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    p95 = ordered[int(len(ordered) * 0.95)]
    return f"p50 {statistics.median(ordered) * 1000:.1f} ms, p95 {p95 * 1000:.1f} ms"


def rate(seconds: list[float]) -> str:
    return f"{len(seconds) / sum(seconds):.0f}"


if __name__ == "__main__":
    main()
