"""Watches the files a template's functions are made of."""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from pathlib import Path

from watchfiles import DefaultFilter, awatch

from local.template import Template

IGNORED_FOLDERS = frozenset({*DefaultFilter.ignore_dirs, ".aws-sam", ".facet", ".ruff_cache"})
IGNORED_ENDINGS = (".pyc", ".swp", ".swx", ".tmp", ".log", "~")
QUIET_MS, LONGEST_MS = 25, 200
LOOK_MS = 2000
POLL_SECONDS = 0.5

Files = dict[Path, tuple[int, int]]
Seen = tuple[Files, frozenset[Path]]


async def changes(template: Callable[[], Template], seen: Seen) -> AsyncGenerator[frozenset[Path], None]:
    """The files that were written, made or removed since they were seen, each time there are some.

    What counts is a comparison of the files themselves; the kernel's events say when to make one. Without them (no
    inotify, or no more watches) it is made twice a second.
    """
    files, folders = seen
    while True:
        async with contextlib.aclosing(_stirred(folders)) as stirred:
            async for _ in stirred:
                before, (files, now) = files, await asyncio.to_thread(look, template())
                if changed := frozenset(path for path, _ in before.items() ^ files.items()):
                    yield changed
                if now != folders:
                    folders = now
                    break


async def _stirred(folders: Iterable[Path]) -> AsyncGenerator[None, None]:
    """Each time something may have happened in these folders."""
    yield None  # what happened before they were watched
    try:
        async for _ in awatch(
            *folders,
            recursive=False,
            watch_filter=None,
            step=QUIET_MS,
            debounce=LONGEST_MS,
            rust_timeout=LOOK_MS,
            yield_on_timeout=True,
        ):
            yield None
    except (OSError, RuntimeError):
        while True:
            await asyncio.sleep(POLL_SECONDS)
            yield None


def look(template: Template) -> Seen:
    """The template's files by the time they were written and their size, and the folders they are in."""
    roots = dict.fromkeys(path for spec in template.functions.values() for path in (spec.code, *spec.layers))
    folders = {folder: names for root in roots for folder, names in _walk(root)}
    found = [Path(folder, name) for folder, names in folders.items() for name in names]
    own = (template.path, *template.requirements)
    files: Files = {}
    for path in (*found, *own):
        with contextlib.suppress(OSError):  # gone meanwhile
            state = path.stat()
            files[path] = state.st_mtime_ns, state.st_size
    return files, frozenset({*map(Path, folders), *(path.parent for path in own)})


def _walk(root: Path) -> Iterator[tuple[str, list[str]]]:
    for folder, below, names in os.walk(root):
        below[:] = [name for name in below if name not in IGNORED_FOLDERS]
        yield folder, [name for name in names if not name.endswith(IGNORED_ENDINGS)]
