"""What a folder `functions` has to hold, and what is said of one that does not."""

from pathlib import Path

import pytest

from tests.layers.serving import started


@pytest.mark.parametrize("text", ["", "def app(event, context): return {}\n"])
@pytest.mark.parametrize("module", ["facet.serve", "facet.consume"])
def test_a_function_without_an_app_of_facet_is_named(tmp_path: Path, text: str, module: str) -> None:
    plain = tmp_path / "functions" / "plain"
    plain.mkdir(parents=True)
    (plain / "handler.py").write_text(text)
    ended = started(tmp_path, module, "plain")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"{module}: The function plain has no `app` that is a facet.function.Function")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("module", ["facet.serve", "facet.consume", "facet.invoke"])
def test_why_a_function_cannot_be_imported_is_told_without_its_secrets(tmp_path: Path, module: str) -> None:
    broken = tmp_path / "functions" / "broken"
    broken.mkdir(parents=True)
    (broken / "handler.py").write_text("raise OSError('amqp://me:hunter2@broker is away')\n")
    ended = started(tmp_path, module, "broken")
    assert ended.returncode == 1
    assert "The function broken cannot be imported (OSError: amqp://[redacted]@broker is away)" in ended.stderr
    assert "hunter2" not in ended.stderr
