"""AWS: the template is valid for SAM and for cfn-lint."""

from pathlib import Path

import pytest

from tests.deploy import sam

TEMPLATE = sam.PROJECT / "template.yaml"


def test_sam_finds_nothing() -> None:
    done = sam.run("validate", "--lint", "--template", str(TEMPLATE))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [("Timeout: 15", "Timeout: soon", "E3012"), ("!Ref PasswordsLayer", "!Ref PasswortsLayer", "E1020")],
)
def test_sam_would_find_something(tmp_path: Path, right: str, wrong: str, said: str) -> None:
    text = TEMPLATE.read_text()
    assert right in text
    changed = tmp_path / "template.yaml"
    changed.write_text(text.replace(right, wrong))
    done = sam.run("validate", "--lint", "--template", str(changed))
    assert done.returncode != 0
    assert said in done.stdout + done.stderr
