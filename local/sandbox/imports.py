"""What a sandbox has imported: which files of the project, and how long each package took."""

import builtins
import contextlib
import itertools
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any, TypeGuard

_FOREIGN = ("/site-packages/", "/dist-packages/")


class Project:
    """The files below the project's folders, without packages that are installed there."""

    def __init__(self, roots: Sequence[str]) -> None:
        self._roots = tuple(f"{root}/" for root in roots)
        self._libraries = tuple({f"{sys.prefix}/lib/", f"{sys.base_prefix}/lib/"})
        self._last = next(reversed(sys.modules))

    def owns(self, file: object) -> TypeGuard[str]:
        return (
            isinstance(file, str)
            and file.startswith(self._roots)
            and not file.startswith(self._libraries)
            and not any(part in file for part in _FOREIGN)
        )

    def news(self) -> list[str]:
        """The project's files that have been imported since the last time."""
        # From the newest back: to touch all would copy the pages that those of the zygote lie in.
        with contextlib.suppress(RuntimeError):  # a thread of the handler imports something just now
            names = list(itertools.takewhile(self._last.__ne__, reversed(sys.modules)))
            self._last = names[0] if names else self._last
            files = {getattr(sys.modules.get(name), "__file__", None) for name in names}
            return sorted(file for file in files if self.owns(file))
        return []

    @contextlib.contextmanager
    def timed(self) -> Iterator[dict[str, float]]:
        """Milliseconds by top-level package while the block runs, for what the project's own files import.

        A package counts with all that it imports itself; the project's packages without those of others.
        """
        spent: defaultdict[str, float] = defaultdict(float)
        nested = [0.0]
        plain = builtins.__import__

        def measured(
            name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
        ) -> ModuleType:
            if not self.owns((globals or {}).get("__file__")):
                return plain(name, globals, locals, fromlist, level)
            package = (globals.get("__package__") or name if level else name).partition(".")[0]
            started = time.perf_counter()
            nested.append(0.0)
            try:
                return plain(name, globals, locals, fromlist, level)
            finally:
                took = (time.perf_counter() - started) * 1000
                spent[package] += took - nested.pop()
                nested[-1] += took

        builtins.__import__ = measured
        try:
            yield spent
        finally:
            builtins.__import__ = plain
