"""The fixtures `local` and `local_sandbox`, as another project's pytest uses them."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

SHOP = Path(__file__).parent / "shop"


def run_pytest(folder: Path, *arguments: str, temporary: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(temporary), "TMPDIR": str(temporary)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=110)


def test_a_project_tests_its_functions_with_two_workers(tmp_path: Path) -> None:
    done = run_pytest(SHOP, "-q", "-n", "2", temporary=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "26 passed" in done.stdout
    assert not list(tmp_path.glob("facet-*"))
    assert not [each for each in psutil.process_iter(["cmdline"]) if str(tmp_path) in str(each.info["cmdline"])]


def test_a_run_that_does_not_use_it_starts_nothing_and_imports_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "test_plain.py").write_text(
        "import sys\n\ndef test_plain(pytestconfig):\n"
        "    assert pytestconfig.pluginmanager.has_plugin('local.testing.plugin')\n"
        "    loaded = {name for name in sys.modules if name.partition('.')[0] in ('local', 'httpx', 'yaml')}\n"
        "    assert loaded == {'local', 'local.testing', 'local.testing.plugin'}\n"
    )
    done = run_pytest(tmp_path, "-q", temporary=tmp_path)
    assert done.returncode == 0, done.stdout
    assert not list(tmp_path.glob("facet-tests-*"))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "For pytest: --facet-template FILE, or facet_template in its ini file."),
        (("--facet-template", "nowhere.yaml"), "There is no template at"),
    ],
)
def test_a_run_without_a_template_says_how_to_name_one(tmp_path: Path, arguments: tuple[str, ...], text: str) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(local):\n    pass\n")
    done = run_pytest(tmp_path, "-q", *arguments, temporary=tmp_path)
    assert done.returncode == 1
    assert text in done.stdout
    assert "Traceback" not in done.stdout
