"""The running product, and clients of the system it replaces."""

from collections.abc import Iterator

import pytest

from tests.compat import pictures
from tests.compat.deployment import Deployment, agent_of, broker_of
from tests.compat.frontend import Account, Frontend
from tests.compat.ml_agent import Agent
from tests.stacks import Stack, running

OLD_DEPLOYMENT = {"RABBITMQ_QUEUE_TYPE": "classic", "INTEGRATIONS_AUTH": "off"}


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The product as it comes, without its own agent: an old one takes the tasks."""
    with running(tmp_path_factory.mktemp("facet"), options=["--no-agent"]) as stack:
        yield stack


@pytest.fixture(scope="session")
def old_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The product as it is set for agents that declare queues and for integrations without a key."""
    with running(tmp_path_factory.mktemp("old"), options=["--no-agent"], settings=OLD_DEPLOYMENT) as stack:
        yield stack


@pytest.fixture
def frontend(stack: Stack) -> Iterator[Frontend]:
    with Frontend(stack.api) as frontend:
        yield frontend


@pytest.fixture
def account(frontend: Frontend) -> Account:
    return frontend.sign_up()


@pytest.fixture
def agent(stack: Stack) -> Iterator[Agent]:
    with agent_of(stack, declares=False) as agent:
        yield agent


@pytest.fixture
def photo() -> bytes:
    return pictures.photo()


@pytest.fixture(
    params=[
        pytest.param("stack", marks=pytest.mark.xdist_group("compat")),
        pytest.param("old_stack", marks=pytest.mark.xdist_group("compat-old")),
    ]
)
def deployment(request: pytest.FixtureRequest) -> Iterator[Deployment]:
    """The test runs against both deployments; in the old one the agent declares the queues."""
    stack: Stack = request.getfixturevalue(request.param)
    declares = request.param == "old_stack"
    with Frontend(stack.api) as frontend, agent_of(stack, declares=declares) as agent:
        yield Deployment(frontend, agent, broker_of(stack, user="RABBITMQ"))


@pytest.fixture
def person(deployment: Deployment) -> Account:
    return deployment.frontend.sign_up()
