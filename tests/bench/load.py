"""Many clients at once for a while: what they were answered, how long it took, and what the stack's memory did."""

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import psutil


@dataclass
class Load:
    """`wrong` holds the first answers that were neither right nor a refusal the limits provide for (429, 503)."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    refused_connections: int = 0
    memory_mb: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        ordered = sorted(self.seconds)
        p50, p95 = statistics.median(ordered) * 1000, ordered[int(len(ordered) * 0.95)] * 1000
        memory = f"memory {self.memory_mb[0]:.0f} → {self.memory_mb[-1]:.0f} MB (most {max(self.memory_mb):.0f})"
        answers = ", ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items()))
        return (
            f"{answers}; refused connections {self.refused_connections}, wrong answers {len(self.wrong)}; "
            f"p50 {p50:.0f} ms, p95 {p95:.0f} ms; {memory}"
        )


async def press(
    url: str, *, clients: int, seconds: float, headers: Mapping[str, str], expected: bytes, process: psutil.Process
) -> Load:
    """GETs of one URL over kept connections; the memory is of `process` and all that descends from it."""
    load, end = Load(), time.monotonic() + seconds
    watching = asyncio.create_task(_watch(load, process))
    await asyncio.gather(*(_client(load, url, headers, expected, end) for _ in range(clients)))
    watching.cancel()
    return load


async def _client(load: Load, url: str, headers: Mapping[str, str], expected: bytes, end: float) -> None:
    parts = urlsplit(url)
    lines = [f"GET {parts.path or '/'} HTTP/1.1", f"host: {parts.netloc}", *(f"{k}: {v}" for k, v in headers.items())]
    request = ("\r\n".join(lines) + "\r\n\r\n").encode()
    while time.monotonic() < end:
        try:
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        except OSError:
            load.refused_connections += 1
            continue
        try:
            while time.monotonic() < end:
                begun = time.perf_counter()
                writer.write(request)
                status, body = await _answer(reader)
                load.seconds.append(time.perf_counter() - begun)
                load.statuses[status] += 1
                if status not in (200, 429, 503) or (status == 200 and expected not in body):
                    load.wrong.append(f"{status} {body[:200]!r}")
        except (OSError, asyncio.IncompleteReadError) as exc:
            load.wrong.append(repr(exc))
        finally:
            writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = int(head.split("content-length:", 1)[1].split("\r\n", 1)[0])
    return int(head.split(" ", 2)[1]), await reader.readexactly(length)


async def _watch(load: Load, process: psutil.Process) -> None:
    """Every second, of every process its own share: pages held together count once."""
    while True:
        load.memory_mb.append(await asyncio.to_thread(_memory_mb, process))
        await asyncio.sleep(1)


def _memory_mb(process: psutil.Process) -> float:
    total = 0
    for each in [process, *process.children(recursive=True)]:
        try:
            total += each.memory_full_info().pss
        except psutil.Error:
            continue  # it has ended meanwhile
    return total / 1e6
