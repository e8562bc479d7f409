"""What is rendered from the project's template, once for all tests that look at it."""

from collections.abc import Callable
from functools import cache

import pytest

from local import deploy
from tests.infra.manifests import ROOT

Files = dict[str, str]


@cache
def _rendered(target: str) -> Files:
    return deploy.render(target, deploy.read(ROOT / "template.yaml"))


@pytest.fixture(scope="session")
def rendered() -> Callable[[str], Files]:
    return _rendered
