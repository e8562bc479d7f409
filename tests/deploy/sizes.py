"""`python -m tests.deploy.sizes [FOLDER]`: how big what `sam build` built is; FACET_BUILD names the folder too."""

import io
import os
import sys
import zipfile
from pathlib import Path

from local import template
from local.template import FunctionSpec, Template

MOST_ZIPPED = 100_000  # of a function without its layers
MOST_CORE = 40_000_000  # of DependenciesLayer, which every function has
MOST_TOGETHER = 250_000_000  # AWS refuses more: a function and its layers, unzipped


def read(build: Path) -> Template:
    return template.load(build / "template.yaml")


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def zipped(folder: Path) -> int:
    """What `sam deploy` uploads of it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files(folder):
            archive.write(path, path.relative_to(folder))
    return out.tell()


def unzipped(folder: Path) -> int:
    return sum(path.stat().st_size for path in files(folder))


def layers(build: Path) -> list[Path]:
    return sorted(build.glob("*Layer"))


def together(spec: FunctionSpec) -> int:
    return unzipped(spec.code) + sum(unzipped(python.parent) for python in spec.layers)


def main(build: Path) -> None:
    print(f"{'function':<26}{'zip':>10}{'with layers':>14}")
    for name, spec in sorted(read(build).functions.items()):
        print(f"{name:<26}{zipped(spec.code) / 1000:7.1f} KB{together(spec) / 1e6:11.1f} MB")
    print(f"\n{'layer':<26}{'zip':>10}{'unzipped':>14}")
    for layer in layers(build):
        print(f"{layer.name:<26}{zipped(layer) / 1e6:7.1f} MB{unzipped(layer) / 1e6:11.1f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else os.environ["FACET_BUILD"]))
