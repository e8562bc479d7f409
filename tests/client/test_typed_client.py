"""A client generated from the document by a public generator compiles, and wrong uses of it do not."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock

from infra.openapi import TARGET

HERE = Path(__file__).parent
FILES = ("package.json", "package-lock.json", ".npmrc", "tsconfig.json", "generate.mjs", "sample.ts")
# What npm says when a package cannot be fetched; whatever else goes wrong is a failure.
UNREACHABLE = (
    *("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "ERR_SOCKET_TIMEOUT"),
    *("E403", "E404", "E502", "E503", "E504", "CERT_", "_CERT", "ENOTCACHED"),
)

pytestmark = [pytest.mark.xdist_group("client"), pytest.mark.timeout(300)]


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "npm_config_update_notifier": "false", "NO_UPDATE_NOTIFIER": "1"}
    return subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample beside a client made of the document of now."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed here")
    folder = tmp_path_factory.mktemp("client")
    for name in FILES:
        shutil.copy(HERE / name, folder)
    shutil.copy(TARGET, folder)
    with FileLock(tmp_path_factory.getbasetemp().parent / "npm.lock"):
        installed = run(folder, "npm", "ci", "--silent", "--loglevel", "error")
    said = installed.stdout + installed.stderr
    if installed.returncode and any(word in said for word in UNREACHABLE):
        pytest.skip(f"npm packages cannot be fetched here: {said.strip()[:300]}")
    assert installed.returncode == 0, said
    generated = run(folder, "node", "generate.mjs")
    assert generated.returncode == 0, generated.stdout + generated.stderr
    return folder


def compiled(folder: Path) -> subprocess.CompletedProcess[str]:
    return run(folder, str(folder / "node_modules" / ".bin" / "tsc"), "--noEmit")


def test_a_whole_visit_compiles(project: Path) -> None:
    done = compiled(project)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('"/users/registration"', '"/users/register"'),
        ("registered.data.user_id", "registered.data.id"),
        ('"CANCELLED"', '"CANCELED"'),
        ("task_source_file: photo", 'task_source_file: "me.jpg"'),
    ],
)
def test_a_wrong_use_does_not_compile(project: Path, tmp_path: Path, right: str, wrong: str) -> None:
    sample = (project / "sample.ts").read_text()
    assert right in sample
    for name in ("package.json", "tsconfig.json", "schema.d.ts"):
        shutil.copy(project / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(project / "node_modules")
    (tmp_path / "sample.ts").write_text(sample.replace(right, wrong))
    done = compiled(tmp_path)
    assert done.returncode != 0
    assert "sample.ts(" in done.stdout


def test_the_lock_names_no_registry() -> None:
    assert '"resolved"' not in (HERE / "package-lock.json").read_text()
