"""A wheel of Facet has what the checkout has: it runs where there is no checkout."""

import configparser
import shutil
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
UNBUILT = shutil.ignore_patterns("__pycache__")
DOCUMENTS = {".md", ".txt", ".lock"}
TEMPLATE = """
Resources:
  HelloFunction:
    Type: AWS::Serverless::Function
    Properties: {Handler: app.handler, CodeUri: hello}
"""
HANDLER = "import installed_beside\n\ndef handler(event, context):\n    return installed_beside.ANSWER\n"
INVOKE = """
import asyncio, sys
from pathlib import Path
from local.invoker import Invoker
from local.template import load

async def invoked(honest_cold):
    invoker = Invoker(load(Path("template.yaml")), logs=Path("logs"), honest_cold=honest_cold)
    await invoker.start()
    try:
        return (await invoker.invoke("hello", {})).payload.decode()
    finally:
        await invoker.stop()

print(*[asyncio.run(invoked(honest_cold)) for honest_cold in (False, True)], sep="\\n")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "local", folder / "local", ignore=UNBUILT)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(folder)], check=True, timeout=100)
    return next(folder.glob("*.whl"))


def test_a_wheel_has_every_module_and_asset_and_both_entry_points(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
        entry_points = configparser.ConfigParser()
        listed = next(name for name in names if name.endswith("/entry_points.txt"))
        entry_points.read_string(packed.read(listed).decode())
    files = [path for path in (wheel.parent / "local").rglob("*") if path.is_file() and path.suffix not in DOCUMENTS]
    assert {str(path.relative_to(wheel.parent)) for path in files} <= names
    assert dict(entry_points["console_scripts"]) == {"facet": "local.cli:main"}
    assert dict(entry_points["pytest11"]) == {"local.testing.plugin": "local.testing.plugin"}


def test_functions_of_an_installed_facet_import_what_is_installed_beside_it(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", symlinks=True)
    packages = next(tmp_path.glob("venv/lib/python*/site-packages"))
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    (packages / "installed_beside.py").write_text("ANSWER = 42")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(packages)
    (tmp_path / "hello").mkdir()
    (tmp_path / "hello" / "app.py").write_text(HANDLER)
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    command = [str(tmp_path / "venv" / "bin" / "python"), "-c", INVOKE]
    run = subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, text=True, timeout=100, check=True)
    assert run.stdout.split("\n")[-3:] == ["42", "42", ""]
