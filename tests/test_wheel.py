"""A wheel of Facet has what the checkout has: it runs where there is no checkout."""

import configparser
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
UNBUILT = shutil.ignore_patterns("__pycache__")
DOCUMENTS = {".md", ".txt", ".lock"}


def test_a_wheel_has_every_module_and_asset_and_both_entry_points(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "local", tmp_path / "local", ignore=UNBUILT)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(tmp_path)], check=True, timeout=100)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
        entry_points = configparser.ConfigParser()
        entry_points.read_string(
            wheel.read(next(name for name in names if name.endswith("/entry_points.txt"))).decode()
        )
    wanted = {path for path in (tmp_path / "local").rglob("*") if path.is_file() and path.suffix not in DOCUMENTS}
    assert {str(path.relative_to(tmp_path)) for path in wanted} <= names
    assert dict(entry_points["console_scripts"]) == {"facet": "local.cli:main"}
    assert dict(entry_points["pytest11"]) == {"local.testing.plugin": "local.testing.plugin"}
