"""The running product with its reference agent, and a person who uses it."""

from collections.abc import Iterator

import pytest

from tests.compat.frontend import Account, Frontend
from tests.stacks import Stack, running


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("facet")) as stack:
        yield stack


@pytest.fixture
def stack(started: Stack) -> Stack:
    """Up, also after a test that took it down."""
    if not started.is_up:
        started.up()
    return started


@pytest.fixture
def frontend(stack: Stack) -> Iterator[Frontend]:
    with Frontend(stack.api) as frontend:
        yield frontend


@pytest.fixture
def account(frontend: Frontend) -> Account:
    return frontend.sign_up()
