"""What keeps handlers from being imported, as far as their files tell."""

import ast
import importlib.util
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

from local.template import Template
from local.template.spec import FunctionSpec


def problems(template: Template) -> Iterator[str]:
    """The others work all the same, so these are warnings."""
    for spec in template.functions.values():
        module = spec.code / spec.handler.rpartition(".")[0].replace(".", "/")
        source = module / "__init__.py" if module.is_dir() else module.with_name(f"{module.name}.py")
        try:
            tree = ast.parse(source.read_bytes(), source)
        except (OSError, SyntaxError, ValueError) as exc:
            yield f"{spec.logical_id}: its handler cannot be imported: {exc}"
            continue
        if missing := [name for name in _imported(tree) if not _is_found(name, spec)]:
            names = ", ".join(missing)
            yield f"{spec.logical_id}: there is no module {names}. Install its package for {sys.executable}."


def syntax_errors(files: Iterable[Path], root: Path) -> dict[Path, str]:
    """What Python cannot read of these files, as `functions/x/handler.py:12: SyntaxError: …`."""
    found: dict[Path, str] = {}
    for file in sorted(file for file in files if file.suffix == ".py"):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                compile(file.read_bytes(), file, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError) as exc:
            line, message = (exc.lineno or 1, exc.msg) if isinstance(exc, SyntaxError) else (1, str(exc))
            place = file.relative_to(root) if file.is_relative_to(root) else file
            found[file] = f"{place}:{line}: {type(exc).__name__}: {message}"
        except OSError:  # gone again
            continue
    return found


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _is_found(name: str, spec: FunctionSpec) -> bool:
    if any(path.stem == name for folder in (spec.code, *spec.layers) for path in folder.iterdir()):
        return True
    return name in sys.modules or importlib.util.find_spec(name) is not None
