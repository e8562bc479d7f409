"""What a shell completes, asked of a real bash."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from local import cli
from tests.stacks import PROJECT

ASKED = """
PATH="{programs}:$PATH"
eval "$(facet completion bash)"
COMP_WORDS=({words}) COMP_CWORD={last}
_facet_completion facet
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with `facet`, as this Python runs it."""
    program = tmp_path / "facet"
    program.write_text(f"#!{sys.executable}\nfrom local.cli import main\n\nmain()\n")
    program.chmod(0o755)
    return tmp_path


def completed(programs: Path, *words: str) -> list[str]:
    script = ASKED.format(programs=programs, words=" ".join(map(repr, words)), last=len(words) - 1)
    environment = {**os.environ, "FACET_STATE": str(programs / "state"), "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(
        ["bash", "--norc", "-c", script], cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["inv"], ["invoke"]),
        (["invoke", "create_"], ["create_api_key", "create_task", "create_upload"]),
        (["invoke", "--templ"], ["--template"]),
        (["queue", "pe"], ["peek"]),
        (["queue", "peek", "results"], ["results", "results.dead"]),
        (["send", "generation_task_r"], ["generation_task_results", "generation_task_results.dead"]),
        (["schedule", "run", "reap_tasks"], ["reap_tasks.Reap", "reap_tasks"]),
        (["logs", "get_task_st"], ["get_task_status"]),
        (["show", "f"], []),
        (["completion", "z"], ["zsh"]),
    ],
)
def test_bash_completes_verbs_options_and_names(programs: Path, words: list[str], found: list[str]) -> None:
    assert completed(programs, "facet", *words) == found


@pytest.mark.parametrize(("shell", "sign"), [("bash", "complete -o"), ("zsh", "#compdef facet"), ("fish", "complete ")])
def test_there_is_a_script_for_each_shell(shell: str, sign: str) -> None:
    assert sign in CliRunner().invoke(cli.main, ["completion", shell]).output


def test_without_a_name_it_is_the_shell_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/zsh")
    assert "#compdef facet" in CliRunner().invoke(cli.main, ["completion"]).output
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    asked = CliRunner().invoke(cli.main, ["completion"])
    assert (asked.exit_code, "Which shell? bash, zsh, fish." in asked.output) == (2, True)
