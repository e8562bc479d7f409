"""The project's template and what is rendered from it, once for all tests that look at it."""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from local import deploy
from tests.infra.manifests import ROOT

Files = dict[str, str]


@cache
def _source() -> deploy.Source:
    return deploy.read(ROOT / "template.yaml")


@cache
def _rendered(target: str) -> Files:
    return deploy.render(target, _source())


@pytest.fixture(scope="session")
def source() -> deploy.Source:
    return _source()


@pytest.fixture(scope="session")
def rendered() -> Callable[[str], Files]:
    return _rendered


@pytest.fixture
def filled(tmp_path: Path) -> Callable[[str], Path]:
    """Writes what is rendered for a target, with a value for every setting, and names the folder."""

    def write(target: str) -> Path:
        folder = tmp_path / "rendered"
        folder.mkdir()
        for name, text in _rendered(target).items():
            value = re.sub(r": (['\"])\1", ': "something"', text) if name.startswith("settings.") else text
            (folder / name).write_text(value, encoding="utf-8")
        return folder

    return write
