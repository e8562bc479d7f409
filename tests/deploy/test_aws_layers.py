"""AWS: what is uploaded is small, for Lambda's Python, and has nothing that Lambda brings or nobody reads."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.deploy import sam, sizes

LOCKED = {
    "DependenciesLayer": "layers/dependencies",
    "PasswordsLayer": "layers/passwords",
    "ImagesLayer": "layers/images",
    "SwaggerUiLayer": "layers/swagger_ui",
    "MigrationsLayer": "infra/migrations",
}
LEFT_OUT = {
    "boto3",
    "botocore",
    "s3transfer",
    "pip",
    "setuptools",
    "wheel",
    "tests",
    "test",
    "bin",
    "click",
    "inquirer",
}
UNCHECKED = 1  # the flags of byte code that no source is compared with


def test_a_function_is_a_hundred_kilobytes_at_most(built: Path) -> None:
    sizes_of = {name: sizes.zipped(spec.code) for name, spec in sizes.read(built).functions.items()}
    assert {name: size for name, size in sizes_of.items() if size > sizes.MOST_ZIPPED} == {}
    assert len(sizes_of) == len(list((sam.PROJECT / "functions").glob("*/handler.py")))


def test_what_every_function_has_is_small(built: Path) -> None:
    assert 0 < sizes.unzipped(built / "DependenciesLayer") < sizes.MOST_CORE


def test_a_function_and_its_layers_are_what_lambda_takes(built: Path) -> None:
    together = {name: sizes.together(spec) for name, spec in sizes.read(built).functions.items()}
    assert {name: size for name, size in together.items() if size > sizes.MOST_TOGETHER} == {}


def test_every_layer_is_built(built: Path) -> None:
    assert {layer.name for layer in sizes.layers(built)} == {*LOCKED, "FacetLayer", "AvatarsLayer"}


@pytest.mark.parametrize("name", LOCKED)
def test_a_layer_has_the_packages_of_its_lock(built: Path, name: str) -> None:
    lock = (sam.PROJECT / LOCKED[name] / "requirements.lock").read_text()
    locked = {f"{_plain(found[1])}-{found[2]}" for found in re.finditer(r"^([\w.-]+)==([^ ]+)", lock, re.MULTILINE)}
    installed = [path.name.removesuffix(".dist-info") for path in (built / name / "python").glob("*.dist-info")]
    assert {"-".join((_plain(each.rpartition("-")[0]), each.rpartition("-")[2])) for each in installed} == locked


def test_no_layer_has_what_lambda_brings_or_nobody_reads(built: Path) -> None:
    paths = [path for layer in sizes.layers(built) for path in (layer / "python").rglob("*")]
    assert len(paths) > 1000
    tops = {path.name for layer in sizes.layers(built) for path in (layer / "python").iterdir()}
    assert tops & LEFT_OUT == set()
    assert [path for path in paths if path.name == "tests" or path.suffix == ".pyi"] == []


def test_what_is_compiled_is_for_lambdas_machine_and_python(built: Path) -> None:
    libraries = [path for layer in sizes.layers(built) for path in layer.rglob("*.so")]
    assert len(libraries) > 20
    others = [
        path.name
        for path in libraries
        if not re.search(r"\.(cpython-313-x86_64-linux-gnu|abi3)\.so$", path.name) and ".libs" not in str(path)
    ]
    assert others == []
    assert {path.read_bytes()[18] for path in libraries} == {0x3E}  # e_machine: x86-64


def test_every_module_has_byte_code_of_lambdas_python_that_no_clock_outdates(built: Path, lambda_python: Path) -> None:
    asked = "import importlib.util as u; print(u.MAGIC_NUMBER.hex())"
    magic = subprocess.run([lambda_python, "-c", asked], capture_output=True, text=True, check=True).stdout.strip()
    modules = [path for layer in sizes.layers(built) for path in layer.rglob("*.py")]
    assert len(modules) > 500
    for module in modules:
        [code] = (module.parent / "__pycache__").glob(f"{module.stem}.cpython-*.pyc")
        head = code.read_bytes()[:8]
        assert (head[:4].hex(), int.from_bytes(head[4:], "little")) == (magic, UNCHECKED), module


def test_byte_code_names_the_place_of_its_source_in_lambda(built: Path, lambda_python: Path) -> None:
    code = built / "FacetLayer/python/facet/__pycache__/http.cpython-313.pyc"
    assert b"/opt/python/facet/http.py" in code.read_bytes()
    assert str(built).encode() not in code.read_bytes()


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()
