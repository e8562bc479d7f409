"""What the document allows and forbids holds for requests nobody thought of; `make fuzz` asks for many more."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.runs import OPTIONS, SETTINGS, Audience, credentials, fuzz
from tests.stacks import Stack, running

pytestmark = pytest.mark.xdist_group("fuzz")


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("fuzz"), options=OPTIONS, settings=SETTINGS) as stack:
        yield stack


@pytest.fixture(scope="module")
def given(fuzzed: Stack) -> dict[str, str]:
    return credentials(fuzzed)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("audience", ["user", "integration"])
@pytest.mark.parametrize(("phases", "examples"), [("examples,fuzzing", 3), ("stateful", 15)])
def test_no_answer_contradicts_the_document(
    fuzzed: Stack, given: dict[str, str], tmp_path: Path, audience: Audience, phases: str, examples: int
) -> None:
    outcome = fuzz(fuzzed, audience, given, reports=tmp_path, phases=phases, examples=examples, seed=20)
    assert outcome.passed, outcome.said
    assert outcome.cases > 10
