"""Who gets a sandbox: per function up to its limit, over all up to a cap, in the order of arrival."""

import asyncio
import time
from collections import Counter, defaultdict, deque
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from local.sandbox.sandbox import Sandbox
from local.template.spec import FunctionSpec


class Refused(Exception):
    """The invocation was not accepted; nothing ran."""

    retry_after = 1


class Throttled(Refused):
    """The function's reserved concurrency is in use (Lambda's TooManyRequestsException)."""

    reason = "ReservedFunctionConcurrentInvocationLimitExceeded"


class Busy(Refused):
    """No sandbox became free in time, or too many are waiting already."""

    retry_after = 5


@dataclass(frozen=True)
class Bounds:
    per_function: int = 16
    """Sandboxes of one function without reserved concurrency."""
    total: int = 64
    """Sandboxes of all functions: each may hold a database connection."""
    wait_seconds: float = 30.0
    waiting: int = 1000
    """How many may wait for one function."""
    idle_seconds: float = 600.0


@dataclass(eq=False)
class Lease:
    """The right to one sandbox: a warm one, or (None) a place in which to start one."""

    spec: FunctionSpec
    sandbox: Sandbox | None = None
    generation: int = 0
    since: float = field(default_factory=time.monotonic)


@dataclass(eq=False)
class _Waiter:
    spec: FunctionSpec
    granted: "asyncio.Future[Lease]"


class Pool:
    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._idle: defaultdict[str, list[Sandbox]] = defaultdict(list)
        self._places: Counter[str] = Counter()  # taken by sandboxes, living or being started or ended
        self._active: Counter[str] = Counter()  # invocations that have a lease or wait for one
        self._generations: Counter[str] = Counter()
        self._waiters: deque[_Waiter] = deque()
        self._ending: set[asyncio.Task[None]] = set()
        self._leases: set[Lease] = set()
        self._changes: dict[Path, float] = {}
        self._last_change = 0.0
        self.held: dict[str, str] = {}
        """Functions whose new code cannot be imported, and why: while one of their sandboxes lives, none starts."""
        self.renewing: set[str] = set()
        """Functions whose new code is to be tried: none of their sandboxes goes before it is known to work."""

    async def acquire(self, spec: FunctionSpec) -> Lease:
        """Wait in line for a lease. Raises Throttled and Busy."""
        reserved = spec.reserved_concurrency
        if reserved is not None and self._active[spec.name] >= reserved:
            raise Throttled(f"all {reserved} reserved concurrent executions of {spec.name} are in use")
        if sum(waiter.spec.name == spec.name for waiter in self._waiters) >= self._bounds.waiting:
            raise Busy(f"{self._bounds.waiting} requests already wait for {spec.name}")
        self._active[spec.name] += 1
        waiter = _Waiter(spec, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        self._grant()
        try:
            if waiter.granted.done():
                return waiter.granted.result()
            async with asyncio.timeout(self._bounds.wait_seconds):
                return await waiter.granted
        except BaseException as exc:
            self._give_up(waiter)
            if isinstance(exc, TimeoutError):
                raise Busy(f"no sandbox for {spec.name} became free in {self._bounds.wait_seconds:g} s") from None
            raise

    def release(self, lease: Lease) -> None:
        """Give the sandbox back for the next in line, or its place when there is none (any more)."""
        name, sandbox = lease.spec.name, lease.sandbox
        self._leases.discard(lease)
        self._active[name] -= 1
        if sandbox and sandbox.alive and self._is_current(lease, sandbox):
            sandbox.idle_since = time.monotonic()
            self._idle[name].append(sandbox)
        else:
            self._dismiss(name, sandbox)
        self._grant()

    def at_work(self) -> list[Sandbox]:
        """The sandboxes that import a function or handle an event."""
        return [lease.sandbox for lease in self._leases if lease.sandbox]

    def recycle(self, name: str) -> None:
        """No later invocation gets a sandbox of before; those at work finish."""
        self._generations[name] += 1
        while self._idle[name]:
            self._retire(self._idle[name].pop())

    def expire(self) -> None:
        """End what has been idle for too long, or has died."""
        oldest = time.monotonic() - self._bounds.idle_seconds
        for name, idle in self._idle.items():
            ended = [one for one in idle if not one.alive or (one.idle_since < oldest and name not in self.held)]
            for sandbox in ended:
                idle.remove(sandbox)
                self._retire(sandbox)

    def living(self, name: str) -> list[Sandbox]:
        """Its sandboxes that have imported it, idle or at work."""
        at_work = [lease.sandbox for lease in self._leases if lease.spec.name == name and lease.sandbox]
        return [sandbox for sandbox in (*self._idle[name], *at_work) if sandbox.alive and sandbox.files]

    def users(self, changed: Collection[Path]) -> list[str]:
        """The functions that living sandboxes have imported one of these files for, those used last first."""
        self._last_change = time.monotonic()
        self._changes |= dict.fromkeys(changed, self._last_change)
        used: dict[str, float] = {}
        for name in [name for name, count in self._places.items() if count]:
            if any(_reads(sandbox, changed) for sandbox in self.living(name)):
                used[name] = max((one.idle_since for one in self._idle[name]), default=self._last_change)
        return sorted(used, key=lambda name: -used[name])

    def trial(self, spec: FunctionSpec) -> Lease:
        """A place, beyond the function's limit, in which to see whether its new code can be imported."""
        lease = Lease(spec)
        self._places[spec.name] += 1
        self._leases.add(lease)
        return lease

    def end_trial(self, lease: Lease, failure: str) -> None:
        """Its sandbox takes over from the older ones, which go on if there was a failure."""
        name, sandbox = lease.spec.name, lease.sandbox
        self._leases.discard(lease)
        if sandbox and not failure:
            self.held.pop(name, None)
            self.recycle(name)
            sandbox.idle_since = time.monotonic()
            self._idle[name].append(sandbox)
        else:
            self.held[name] = failure
            self._dismiss(name, sandbox)
        self._grant()

    def counts(self) -> dict[str, dict[str, int]]:
        """By function: its sandboxes, how many of them are idle, and how many invocations wait for one."""
        waiting = Counter(waiter.spec.name for waiter in self._waiters)
        return {
            name: {"idle": len(self._idle[name]), "sandboxes": self._places[name], "waiting": waiting[name]}
            for name in self._places.keys() | waiting.keys()
        }

    async def close(self) -> None:
        """Refuse those who wait and end every sandbox."""
        for waiter in self._waiters:
            if not waiter.granted.done():
                waiter.granted.set_exception(Busy("the invoker is stopping"))
        for name in list(self._idle):
            self.recycle(name)
        await asyncio.gather(*(sandbox.end() for sandbox in self.at_work()), *self._ending)

    def _grant(self) -> None:
        """Serve the waiters in order. One that the cap holds up lets no later one start a sandbox before it."""
        blocked = 0
        for waiter in [waiter for waiter in self._waiters if not waiter.granted.done()]:
            lease = self._warm(waiter.spec)
            if lease is None and not self._full(waiter.spec):
                if blocked or self._places.total() >= self._bounds.total:
                    blocked += 1
                    continue
                self._places[waiter.spec.name] += 1
                lease = Lease(waiter.spec, None, self._generations[waiter.spec.name])
            if lease is not None:
                self._leases.add(lease)
                waiter.granted.set_result(lease)
        self._waiters = deque(waiter for waiter in self._waiters if not waiter.granted.done())
        while blocked > len(self._ending) and (sandbox := self._longest_idle()):
            self._retire(sandbox)

    def _warm(self, spec: FunctionSpec) -> Lease | None:
        idle = self._idle[spec.name]
        while idle:
            sandbox = idle.pop()
            if sandbox.alive:
                return Lease(spec, sandbox, self._generations[spec.name])
            self._retire(sandbox)
        return None

    def _full(self, spec: FunctionSpec) -> bool:
        limit = self._bounds.per_function if spec.reserved_concurrency is None else spec.reserved_concurrency
        return self._places[spec.name] >= limit or (spec.name in self.held and bool(self.living(spec.name)))

    def _is_current(self, lease: Lease, sandbox: Sandbox) -> bool:
        """Whether nothing it has imported changed since the lease began: it may have read that before the change."""
        name = lease.spec.name
        if lease.generation != self._generations[name]:
            return False
        if name in self.held or name in self.renewing or self._last_change < lease.since:
            return True
        return not any(self._changes.get(file, 0.0) >= lease.since for file in sandbox.files)

    def _longest_idle(self) -> Sandbox | None:
        """Taken out of its pool, to make room for another function; the last of their kind are taken last."""
        pools = [(name in self.held, idle[0].idle_since, name) for name, idle in self._idle.items() if idle]
        return self._idle[min(pools)[2]].pop(0) if pools else None

    def _dismiss(self, name: str, sandbox: Sandbox | None) -> None:
        if sandbox is None:
            self._places[name] -= 1
        else:
            self._retire(sandbox)

    def _retire(self, sandbox: Sandbox) -> None:
        task = asyncio.get_running_loop().create_task(self._end(sandbox))
        self._ending.add(task)
        task.add_done_callback(self._ended)

    async def _end(self, sandbox: Sandbox) -> None:
        await sandbox.end()
        self._places[sandbox.spec.name] -= 1

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._ending.discard(task)
        self._grant()

    def _give_up(self, waiter: _Waiter) -> None:
        if waiter.granted.done() and not waiter.granted.cancelled() and not waiter.granted.exception():
            self.release(waiter.granted.result())
            return
        self._active[waiter.spec.name] -= 1
        waiter.granted.cancel()
        self._grant()


def _reads(sandbox: Sandbox, changed: Collection[Path]) -> bool:
    """Whether it has imported one of these, or may have read one that is no Python."""
    folders = (sandbox.spec.code, *sandbox.spec.layers)
    data = [path for path in changed if path.suffix != ".py"]
    return not sandbox.files.isdisjoint(changed) or any(path.is_relative_to(each) for path in data for each in folders)
