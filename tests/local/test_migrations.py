"""`make revision` writes the next migration in the order of the others."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.cloud import migrations

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "infra/migrations", tmp_path / "infra/migrations", ignore=ignored)
    return tmp_path


def test_a_new_migration_follows_the_last_and_is_tidy(project: Path) -> None:
    versions = sorted((project / "infra/migrations/python/migrations/versions").glob("*.py"))
    last = versions[-1].name[:4]
    written = project / migrations.create(project, "Add a column")
    assert written.name == f"{int(last) + 1:04}_add_a_column.py"
    assert f'down_revision: str | None = "{last}"' in written.read_text()
    ruff = Path(sys.executable).with_name("ruff")
    subprocess.run([ruff, "format", "--check", written], check=True, capture_output=True)


def test_a_broken_migration_is_reported(project: Path) -> None:
    (project / "infra/migrations/python/migrations/versions/0009_broken.py").write_text("this is no python")
    with pytest.raises(migrations.RevisionFailed, match="0009_broken"):
        migrations.create(project, "Another")
