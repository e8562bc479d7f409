"""Writes functions/api_docs/openapi.json from what the functions declare (`make openapi`)."""

import json
import sys
import tomllib
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "functions" / "api_docs" / "openapi.json"
SOURCES = (ROOT, ROOT / "layers" / "facet" / "python", ROOT / "shared", ROOT / "infra" / "migrations" / "python")


def rendered() -> str:
    """The document of every function that has a handler, the same text for the same declarations."""
    from facet import openapi

    names = sorted(path.parent.name for path in (ROOT / "functions").glob("*/handler.py"))
    functions = [import_module(f"functions.{name}.handler").app for name in names]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return json.dumps(openapi.document(functions, version=version), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    sys.path[:0] = [str(source) for source in SOURCES]
    TARGET.write_text(rendered(), encoding="utf-8")
    sys.stdout.write(f"{TARGET.relative_to(ROOT)} written\n")


if __name__ == "__main__":
    main()
