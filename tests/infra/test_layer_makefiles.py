"""What the layers' Makefiles do alike they do in the same words.

None includes another's: `sam build --use-container` sees a layer's folder alone, and `--cached` watches nothing else.
"""

from pathlib import Path

import pytest

from local.template.intrinsics import parse
from tests.conftest import PROJECT

LAYER = "AWS::Serverless::LayerVersion"


def makefiles() -> list[Path]:
    """Those of the layers that template.yaml has built by make."""
    resources = parse((PROJECT / "template.yaml").read_text())["Resources"].values()
    layers = [each for each in resources if each["Type"] == LAYER and each["Metadata"]["BuildMethod"] == "makefile"]
    return [PROJECT / layer["Properties"]["ContentUri"] / "Makefile" for layer in layers]


def lines(makefile: Path) -> list[str]:
    """With those that go on in the next one put together."""
    return makefile.read_text().replace("\\\n", "").splitlines()


@pytest.mark.parametrize(
    ("words", "least"),
    [("compileall", 7), ("PYTHON313 ?=", 7), ("pip install", 5), ("LAMBDA_MACHINE ?=", 5), ("/python/bin", 5)],
)
def test_what_layers_do_alike_they_do_in_the_same_words(words: str, least: int) -> None:
    found = [line for makefile in makefiles() for line in lines(makefile) if words in line and line[0] != "#"]
    assert len(found) >= least
    assert len(set(found)) == 1
