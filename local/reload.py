"""Brings new code to functions that run: one sandbox tries it, and until it has imported it the old ones answer."""

import asyncio
import contextlib
import importlib.util
import json
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from pathlib import Path

from local.sandbox.launcher import LaunchFailed
from local.sandbox.pool import Lease, Pool, Refused
from local.sandbox.sandbox import InitFailed, NotBegun
from local.template import Template

_PLACE = re.compile(r'File "([^"]+)",? [Ll]ine (\d+)')
_WRAPPED = re.compile(r"^Syntax error in module '.*?': (.*?)(?: \([^()]*, line \d+\))?$", re.S)


class Renewal:
    """Renews functions one after the other, so that requests are not starved.

    `start` fills the lease of a trial; those in `untried` (a debugger has their port) just begin anew.
    """

    def __init__(
        self,
        pool: Pool,
        template: Callable[[], Template],
        start: Callable[[Lease], Awaitable[object]],
        report: Callable[[str], None],
        *,
        untried: Collection[str] = (),
    ) -> None:
        self._pool, self._template, self._start, self._report = pool, template, start, report
        self._untried = untried
        self._due: dict[str, None] = {}
        self._working: asyncio.Task[None] | None = None
        self._following = False

    @property
    def broken(self) -> Mapping[str, str]:
        """The functions that answer with an old version, and the error that keeps it."""
        return {name: error for name, error in self._pool.held.items() if self._pool.living(name)}

    async def changed(self, files: Collection[Path]) -> None:
        """Returns when those who have imported one of these files answer with new code, or are known to be broken."""
        self._following = True
        for file in files:
            if file.suffix == ".py":  # Python knows a cached one by its size and the second it was written in
                with contextlib.suppress(OSError):
                    Path(importlib.util.cache_from_source(file)).unlink()
        await self.renew([*self._pool.users(files), *self._pool.held])

    async def renew(self, names: Iterable[str]) -> None:
        due = dict.fromkeys(names)
        self._due |= due
        self._pool.renewing |= due.keys()
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        await asyncio.shield(self._working)

    def holds(self, lease: Lease, failure: InitFailed) -> bool:
        """Whether older sandboxes take the event of one that could not import the function. They do from now on."""
        name = lease.spec.name
        if not self._following or not self._pool.living(name):
            return False
        if name not in self._pool.held:
            self._pool.held[name] = self._one_line(failure)
            self._report(f"reload: {self._pool.held[name]} (the old version stays: {name})")
        return True

    async def stop(self) -> None:
        if self._working:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)

    async def _work(self) -> None:
        outcomes: defaultdict[str, list[str]] = defaultdict(list)
        while self._due:
            name = next(iter(self._due))
            del self._due[name]
            try:
                if (failure := await self._renew(name)) is not None:
                    outcomes[failure].append(name)
            finally:
                if name not in self._due:
                    self._pool.renewing.discard(name)
        for failure, names in outcomes.items():
            more = f" and {len(names) - 5} more" if len(names) > 6 else ""
            listed = ", ".join(names[:5] if more else names) + more
            self._report(f"reload: {failure} (the old version stays: {listed})" if failure else f"reload: {listed}")

    async def _renew(self, name: str) -> str | None:
        """What keeps the old version; nothing if the new one runs, None if neither does."""
        spec = self._template().functions.get(name)
        if spec is None or not self._pool.living(name):
            self._pool.held.pop(name, None)
            return None
        if name in self._untried:
            self._pool.recycle(name)
            return ""
        lease, failure = self._pool.trial(spec), "the trial was given up"
        try:
            await self._start(lease)
            failure = ""
        except InitFailed as exc:
            failure = self._one_line(exc)
        except (LaunchFailed, NotBegun, Refused, OSError) as exc:
            failure = str(exc) or "the sandbox was killed"
        finally:
            self._pool.end_trial(lease, failure)
        return failure

    def _one_line(self, failure: InitFailed) -> str:
        return one_line(failure.outcome.payload, self._template().path.parent)


def one_line(error: bytes, root: Path) -> str:
    """Lambda's error object as `functions/x/handler.py:12: SyntaxError: …`, as far as it says where."""
    found = json.loads(error)
    kind, message = found["errorType"].removeprefix("Runtime."), found["errorMessage"]
    if syntax := _WRAPPED.match(message):
        kind, message = "SyntaxError", syntax[1]
    places = _PLACE.findall("".join(found.get("stackTrace") or ()))
    own = [place for place in places if Path(place[0]).is_relative_to(root)] or places
    where = ""
    if own:
        file, line = own[-1]
        where = f"{Path(file).relative_to(root) if Path(file).is_relative_to(root) else file}:{line}: "
    return f"{where}{kind}: {' '.join(message.split())}"
