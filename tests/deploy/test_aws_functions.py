"""AWS: each built function answers under Lambda's runtime, from its folder and its layers alone."""

from pathlib import Path

import pytest

from tests.deploy.trials.named import trial
from tests.deploy.world import World

PROJECT = Path(__file__).parents[2]
FUNCTIONS = sorted(path.parent.name for path in PROJECT.glob("functions/*/handler.py"))


@pytest.mark.xdist_group("lambda")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_answers(running: World, name: str) -> None:
    trial(name)(running)
    ran = [done for done in running.deployed.finished if done.function == name]
    assert ran[0].report.cold
    assert running.deployed.said == []
