"""One sample project per test module."""

from collections.abc import Iterator

import pytest

from tests.local.emulator.lab import Lab, lab


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("sample")) as running:
        yield running
