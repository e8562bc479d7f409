"""Imports third-party packages ahead of the functions that will want them."""

import ast
import compileall
import importlib
import importlib.metadata
import re
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

_FOREIGN = frozenset({"node_modules", "site-packages"})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def preload(requirements: Iterable[Path], sources: Iterable[Path]) -> dict[str, str]:
    """Import the packages that the requirements name, and what the sources import of others. The failures, by name.

    A package often imports its parts only when they are named (`from pydantic import BaseModel`), hence the sources.
    """
    failures: dict[str, str] = {}
    for requirement in dict.fromkeys(name for file in requirements for name in _required(file)):
        try:
            for module in _modules(requirement):
                _import(module)
        except BaseException as exc:
            failures[requirement] = f"{type(exc).__name__}: {exc}"
    folders = list(sources)
    own = {path.stem for folder in folders for path in folder.iterdir()}
    for module, name in dict.fromkeys(found for folder in folders for found in _imported(folder)):
        if module.split(".")[0] not in own:
            try:
                _import(module, name)
            except BaseException:  # noqa: S112 - the function that wants it will say so itself
                continue
    return failures


def _import(module: str, name: str | None = None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = importlib.import_module(module)
        if name and not hasattr(found, name):
            importlib.import_module(f"{module}.{name}")


def _required(file: Path) -> Iterator[str]:
    """The names in a requirements file and in those it includes."""
    for line in file.read_text(encoding="utf-8").splitlines():
        option, _, argument = line.strip().partition(" ")
        if option in ("-r", "--requirement"):
            yield from _required(file.parent / argument.strip())
        elif match := _NAME.match(option):
            yield match[0]


def _modules(requirement: str) -> list[str]:
    """The importable top-level names of a distribution."""
    distribution = importlib.metadata.distribution(requirement)
    listed = distribution.read_text("top_level.txt")
    if listed:
        names = listed.split()
    else:
        names = [file.parts[0].split(".")[0] for file in distribution.files or () if file.suffix in (".py", ".so")]
    return [name for name in dict.fromkeys(names) if name.isidentifier() and not name.startswith("_")]


def _imported(folder: Path) -> Iterator[tuple[str, str | None]]:
    for file in sorted(folder.rglob("*.py")):
        if any(part.startswith(".") or part in _FOREIGN for part in file.relative_to(folder).parts):
            continue
        compileall.compile_file(file, quiet=2)  # sandboxes cannot write what they have compiled
        try:
            tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, None) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield from ((node.module, alias.name) for alias in node.names)
