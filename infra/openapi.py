"""Writes what describes the API (`make openapi`): openapi.json, problems.json and the README's table of codes."""

import json
import sys
import tomllib
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "functions" / "api_docs" / "openapi.json"
SOURCES = (ROOT, ROOT / "layers" / "facet" / "python", ROOT / "shared", ROOT / "infra" / "migrations" / "python")


def written() -> Mapping[Path, str]:
    """The files and their texts for all functions with a handler: the same for the same declarations."""
    from facet import openapi
    from infra import problems

    names = sorted(path.parent.name for path in (ROOT / "functions").glob("*/handler.py"))
    functions = [import_module(f"functions.{name}.handler").app for name in names]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    document = openapi.document(functions, version=version)
    catalogue = problems.with_gateway(openapi.catalogue(functions))
    return {
        TARGET: json.dumps(document, indent=1, ensure_ascii=False) + "\n",
        problems.TARGET: problems.rendered(catalogue),
        problems.README: problems.readme(catalogue),
    }


def main() -> None:
    sys.path[:0] = [str(source) for source in SOURCES]
    for target, text in written().items():
        target.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{target.relative_to(ROOT)} written\n")


if __name__ == "__main__":
    main()
