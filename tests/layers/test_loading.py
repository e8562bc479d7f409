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
