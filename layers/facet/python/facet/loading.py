"""The functions of a folder `functions` on the import path, where one process runs one or all of them."""

import importlib
from collections.abc import Sequence
from pathlib import Path

from facet.function import Function


class UnknownFunction(Exception):
    """There is no function of that name; the text lists those there are."""


class BrokenFunction(Exception):
    """A function cannot be imported, or has no app; the text says why."""


def names() -> Sequence[str]:
    """Every function there is, in order. Raises UnknownFunction when there is no folder `functions`."""
    try:
        folders = importlib.import_module("functions").__path__
    except ModuleNotFoundError as error:
        if error.name != "functions":
            raise
        raise UnknownFunction("There is no folder `functions` here: start this in the folder that has one.") from error
    return sorted({path.parent.name for folder in folders for path in Path(folder).glob("*/handler.py")})


def load(name: str) -> Function:
    """The function of that name, imported as `functions.<name>.handler`. Raises UnknownFunction and BrokenFunction."""
    if name not in (known := names()):
        raise UnknownFunction(f"There is no function {name}. There are: {', '.join(known)}.")
    try:
        handler = importlib.import_module(f"functions.{name}.handler")
    except Exception as error:  # the handler's own, whatever it is
        raise BrokenFunction(
            f"The function {name} cannot be imported ({type(error).__name__}: {error}). "
            f"Look at it with: python -c 'import functions.{name}.handler'"
        ) from error
    app = getattr(handler, "app", None)
    if not isinstance(app, Function):
        raise BrokenFunction(f"The function {name} has no `app` that is a facet.function.Function in its handler.py.")
    return app
