"""Finds the callable that a template's `Handler` names, with the errors of AWS's runtime."""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

Handler = Callable[[Any, Any], Any]


class Fault(Exception):
    """An error of the runtime's own, such as Runtime.ImportModuleError."""

    def __init__(self, kind: str, message: str, trace: list[str] | None = None) -> None:
        self.kind, self.message, self.trace = kind, message, trace or []
        super().__init__(message)


def load_handler(handler: str, module_name: str, code: Path) -> Handler:
    """The callable that `module.function` names. Raises Fault, or what the module raised."""
    path, _, attribute = handler.rpartition(".")
    if not path:
        wrong = f"Bad handler '{handler}': not enough values to unpack (expected 2, got 1)"
        raise Fault("Runtime.MalformedHandlerName", wrong)
    if path.split(".")[0] in sys.builtin_module_names:
        raise Fault("Runtime.BuiltInModuleConflict", f"Cannot use built-in module {path} as a handler module")
    try:
        module = _import(path.replace("/", "."), module_name, code)
    except ImportError as exc:
        raise Fault("Runtime.ImportModuleError", f"Unable to import module '{path}': {exc}") from exc
    except SyntaxError as exc:
        trace = [f'  File "{exc.filename}" Line {exc.lineno}\n    {exc.text}']
        raise Fault("Runtime.UserCodeSyntaxError", f"Syntax error in module '{path}': {exc}", trace) from exc
    try:
        found: Handler = getattr(module, attribute)
    except AttributeError:
        raise Fault("Runtime.HandlerNotFound", f"Handler '{attribute}' missing on module '{path}'") from None
    return found


def _import(path: str, module_name: str, code: Path) -> ModuleType:
    file = code / f"{path}.py"
    if not file.is_file():
        sys.modules[module_name] = importlib.import_module(path)  # a package inside the function's folder
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"No module named '{path}'")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    return module
