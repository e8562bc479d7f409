"""What a cold start pays for: what `tests/budgets.json` lists, and what comes with the first answer."""

import os
import subprocess
import sys

import pytest

from tests import budgets
from tests.conftest import PROJECT

CLIENTS = ("boto3", "s3transfer", "botocore.client", "botocore.session")
PATHS = (".", "layers/facet/python", "shared")
SIGN = "objects.presign_put('b', 'k', content_type='image/jpeg', size=1, sha256=None, expires_in=60)"
NEEDED = {"images": "PIL", "passwords": "passlib", "migrations": "alembic"}  # by a layer, the package it is there for


def loaded(script: str) -> set[str]:
    """The modules a fresh interpreter has after this script."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(PROJECT / path) for path in PATHS),
        "MINIO_HOST": "http://s3.test",
        "MINIO_ACCESS_KEY": "access",
        "MINIO_SECRET_KEY": "secret",
    }
    command = [sys.executable, "-c", f"{script}\nimport sys\nprint(*sys.modules)"]
    return set(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.split())


def test_every_function_has_a_budget() -> None:
    assert list(budgets.budgets()) == list(budgets.functions())


@pytest.mark.parametrize("name", budgets.functions())
def test_a_function_imports_what_its_budget_says_and_its_layers_have_it(name: str) -> None:
    """Another number is no mistake when it is meant: `python -m tests.budgets` writes the table anew."""
    imports, budget = budgets.imports_of(name), budgets.budgets()[name]
    assert imports.packages == budget.packages
    assert imports.modules <= budget.modules


@pytest.mark.parametrize("name", budgets.functions())
def test_a_function_has_no_layer_in_vain(name: str) -> None:
    needed = {NEEDED[layer.name] for layer in budgets.layers_of(name) if layer.name in NEEDED}
    assert needed == {*NEEDED.values()} & {*budgets.budgets()[name].packages}


def test_what_no_layer_of_a_function_has_cannot_be_imported() -> None:
    with pytest.raises(ImportError, match="No module named 'PIL'"):
        budgets.imports_of("create_task", without="images")


def test_an_upload_needs_the_signer_alone() -> None:
    before = loaded("import functions.create_upload.handler")
    after = loaded(f"import functions.create_upload.handler\nfrom facet import objects\n{SIGN}")
    assert before & {*CLIENTS, "botocore"} == set()
    assert "botocore.auth" in after
    assert after & set(CLIENTS) == set()
