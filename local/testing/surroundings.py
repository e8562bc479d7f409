"""What a function finds around it, in one process with others: variables, folder, import path, modules, its output."""

import contextlib
import functools
import importlib
import io
import os
import sys
import threading
from collections.abc import Iterator, Set
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

from local.sandbox.handler import load_handler
from local.sandbox.variables import lambda_environment
from local.template.spec import FunctionSpec

_MACHINE = ("LANG", "PATH", "TZ")  # of the test's process, unless the template sets them


class Surroundings:
    """A handler is imported once, under the unique name by which tests too may import and patch it."""

    def __init__(self) -> None:
        self._given = dict(os.environ)
        self._lock, self._entered = threading.Lock(), contextlib.ExitStack()
        self._active: list[tuple[FunctionSpec, TextIO]] = []
        self._environments: dict[str, dict[str, str]] = {}
        self._kept: dict[str, dict[str, ModuleType]] = {}

    def is_loaded(self, spec: FunctionSpec) -> bool:
        return _is_of(sys.modules.get(spec.module), spec.code)

    def handler(self, spec: FunctionSpec) -> Any:
        """What the template's `Handler` names, to be called `around` it. Raises Fault, or what the module raised."""
        if self.is_loaded(spec):
            return getattr(sys.modules[spec.module], spec.handler.rpartition(".")[2])
        handler = load_handler(spec.handler, spec.module, spec.code)
        package, _, name = spec.module.rpartition(".")
        with contextlib.suppress(ImportError, ValueError):  # as after a plain import, for who patches by name
            setattr(importlib.import_module(package), name, sys.modules[spec.module])
        return handler

    @contextlib.contextmanager
    def around(self, spec: FunctionSpec, output: TextIO) -> Iterator[None]:
        """The function's surroundings while the block runs; of blocks in several threads, those of the latest."""
        entry = (spec, output)
        with self._lock:
            self._active.append(entry)
            self._switch()
        try:
            yield
        finally:
            with self._lock:
                self._active.remove(entry)
                self._switch()

    def _switch(self) -> None:
        self._entered.close()
        if self._active:
            spec, output = self._active[-1]
            enter = self._entered.enter_context
            enter(self._environment(spec))
            enter(self._own_modules(spec))
            enter(self._path(spec))
            enter(contextlib.chdir(spec.code))
            enter(contextlib.redirect_stdout(_Both(sys.stdout, output)))

    @contextlib.contextmanager
    def _path(self, spec: FunctionSpec) -> Iterator[None]:
        added = [folder for folder in map(str, (spec.code, *spec.layers)) if folder not in sys.path]
        sys.path[:0] = added
        try:
            yield
        finally:
            sys.path[:] = [folder for folder in sys.path if folder not in added]

    @contextlib.contextmanager
    def _environment(self, spec: FunctionSpec) -> Iterator[None]:
        """The template's variables; what the test itself has changed since the start, it has changed here too."""
        if spec.name not in self._environments:
            named = lambda_environment(spec).items()
            own = {name: value for name, value in named if name not in _MACHINE or name in spec.environment}
            self._environments[spec.name] = own | {"_X_AMZN_TRACE_ID": ""}
        before = {name: os.environ.get(name) for name in self._environments[spec.name]}
        for name, value in self._environments[spec.name].items():
            if before[name] == self._given.get(name):
                os.environ[name] = value
        try:
            yield
        finally:
            for name, previous in before.items():
                if previous is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = previous

    @contextlib.contextmanager
    def _own_modules(self, spec: FunctionSpec) -> Iterator[None]:
        modules, folders = _importable(spec.code)
        loaded = {name: sys.modules[name] for name in modules | folders if name in sys.modules}
        here = {name for name, module in loaded.items() if name in modules or module.__file__ is None}
        foreign = _taken({name for name in here if not _is_of(loaded[name], spec.code)})
        sys.modules.update(self._kept.pop(spec.name, {}))
        try:
            yield
        finally:
            if foreign:
                self._kept[spec.name] = _taken({name.partition(".")[0] for name in foreign})
                sys.modules.update(foreign)


class _Both(io.TextIOBase):
    """Prints, so that a debugger and pytest's capture see it, and keeps what is printed."""

    def __init__(self, stream: TextIO, kept: TextIO) -> None:
        self._stream, self._kept = stream, kept

    def write(self, text: str) -> int:
        self._kept.write(text)
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()


@functools.cache
def _importable(folder: Path) -> tuple[Set[str], Set[str]]:
    """Its modules and packages; and folders, which are packages only where nothing else has their name."""
    modules = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    folders = {path.name for path in folder.iterdir() if path.is_dir()}
    return modules - sys.stdlib_module_names, folders - modules - sys.stdlib_module_names


def _taken(names: set[str]) -> dict[str, ModuleType]:
    """These modules and all below them, out of sys.modules."""
    found = [name for name in sys.modules if name.partition(".")[0] in names] if names else []
    return {name: sys.modules.pop(name) for name in found}


def _is_of(module: ModuleType | None, folder: Path) -> bool:
    places = [module.__file__] if module and module.__file__ else getattr(module, "__path__", [])
    return any(Path(place).is_relative_to(folder) for place in places)
