"""Settings read anew for every test of the layer, from an environment that has none of the developer's."""

import os
from collections.abc import Iterator

import pytest

from facet.settings import Settings, settings

SECRET_KEY = "k" * 64


@pytest.fixture(autouse=True)
def fresh_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No variable Facet knows is set, and none by which AWS tells a function of itself."""
    known = {name.upper() for name in Settings.model_fields} | {"FACET_SECRETS", "FACET_SECRETS_DIR"}
    for name in list(os.environ):
        if name in known or name.startswith("AWS_"):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture
def secret_key(bare_environment: pytest.MonkeyPatch) -> str:
    bare_environment.setenv("SECRET_KEY", SECRET_KEY)
    return SECRET_KEY
