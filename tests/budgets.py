"""What each function may import: `tests/budgets.json`. `python -m tests.budgets` writes it anew.

Time depends on the machine; packages and modules, of which a cold start's time is made, do not.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

from local.template.intrinsics import parse

PROJECT = Path(__file__).resolve().parents[1]
FILE = PROJECT / "tests" / "budgets.json"
WORKSHOP = ("local", "tests")  # in this folder, and never deployed
RUNTIME = ("boto3", "botocore", "jmespath", "s3transfer", "dateutil", "six", "urllib3")  # Lambda brings them
MARGIN = 1.08  # other versions of Python import some modules more or less

CHILD = """
import importlib, json, sys
name, refused, packages = sys.argv[1], *map(json.loads, sys.argv[2:])
class Refusing:
    def find_spec(self, module, path=None, target=None):
        if module.partition(".")[0] in refused:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
before = len(sys.modules)
sys.meta_path.insert(0, Refusing())
importlib.import_module(f"functions.{name}.handler")
loaded = {module.partition(".")[0] for module in sys.modules}
print(json.dumps([len(sys.modules) - before, sorted(loaded.intersection(packages))]))
"""


@dataclass(frozen=True)
class Imports:
    """What an interpreter has loaded when a function is ready: `packages` are third-party, by their import names."""

    modules: int
    packages: tuple[str, ...]


def functions() -> Sequence[str]:
    return sorted(path.parent.name for path in (PROJECT / "functions").glob("*/handler.py"))


def budgets() -> dict[str, Imports]:
    """The table as it is committed."""
    rows = json.loads(FILE.read_text(encoding="utf-8"))
    return {name: Imports(row["modules"], tuple(row["packages"])) for name, row in rows.items()}


def imports_of(name: str, *, without: str = "") -> Imports:
    """Import a function where there is no package but those of its layers and of Lambda's runtime.

    `without` is the folder's name of a layer that is left out. Raises ImportError.
    """
    layers = [layer for layer in layers_of(name) if layer.name != without]
    paths = [PROJECT, *(path for folder in layers if (path := _python_of(folder)).is_dir())]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    allowed = frozenset(RUNTIME).union(*map(packages_of, layers))
    refused = [*WORKSHOP, *(set(_installed()) - allowed)]
    command = [sys.executable, "-c", CHILD, name, json.dumps(refused), json.dumps(sorted(allowed))]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise ImportError(f"{name} cannot be imported with the packages of its layers:\n{done.stderr}")
    modules, packages = json.loads(done.stdout)
    return Imports(modules, tuple(packages))


def layers_of(name: str) -> Sequence[Path]:
    """The folders of a function's layers, those of every function first."""
    resources = _template()["Resources"]
    properties = next(
        resource["Properties"]
        for resource in resources.values()
        if resource["Type"] == "AWS::Serverless::Function" and resource["Properties"]["CodeUri"] == f"functions/{name}"
    )
    named = [*_template()["Globals"]["Function"]["Layers"], *properties.get("Layers", [])]
    return [PROJECT / resources[layer["Ref"]]["Properties"]["ContentUri"] for layer in named]


def packages_of(layer: Path) -> frozenset[str]:
    """The import names of what a layer's lock installs."""
    lock = layer / "requirements.lock"
    locked = (
        set(re.findall(r"^([a-z0-9_.-]+)==", lock.read_text(encoding="utf-8"), re.MULTILINE)) if lock.exists() else ()
    )
    return frozenset(package for package, names in _installed().items() if any(name in locked for name in names))


@lru_cache(maxsize=1)
def _template() -> dict[str, Any]:
    document: dict[str, Any] = parse((PROJECT / "template.yaml").read_text(encoding="utf-8"))
    return document


@lru_cache(maxsize=1)
def _installed() -> dict[str, list[str]]:
    """By import name, the distributions here that have it, named as locks name them."""
    return {
        package: [re.sub(r"[-_.]+", "-", name).lower() for name in names]
        for package, names in packages_distributions().items()
    }


def _python_of(layer: Path) -> Path:
    return layer if layer.name == "shared" else layer / "python"


def main() -> None:
    rows = {name: asdict(imports_of(name)) for name in functions()}
    lines = []
    for name, row in rows.items():
        row["modules"] = round(row["modules"] * MARGIN / 10 + 0.5) * 10
        lines.append(f"  {json.dumps(name)}: {json.dumps(row)}")
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
