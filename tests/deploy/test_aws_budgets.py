"""AWS: each built function imports no more packages and modules than its budget says."""

import pytest

from tests import budgets
from tests.deploy.deployed import Deployed
from tests.deploy.imports import imports_of


@pytest.mark.parametrize("name", budgets.functions())
def test_it_imports_what_its_budget_says(installed: Deployed, name: str) -> None:
    imports, budget = imports_of(installed, name).imports, budgets.budgets()[name]
    assert imports.packages == budget.packages
    assert imports.modules <= budget.modules
