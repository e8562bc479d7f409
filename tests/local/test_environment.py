"""Reading and writing `.env`."""

import re
import stat
from pathlib import Path

import pytest

from local.cloud import environment

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _own_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FACET_ENV_FILE", raising=False)


def test_the_example_documents_exactly_the_known_settings_without_secrets() -> None:
    example = (PROJECT / ".env.example").read_text()
    assert example == environment.render(with_secrets=False)
    assert sorted(re.findall(r"^#?(\w+)=", example, re.MULTILINE)) == sorted(s.name for s in environment.SETTINGS)
    assert all(re.search(rf"^{s.name}=$", example, re.MULTILINE) for s in environment.SETTINGS if s.secret)


def test_a_new_file_holds_every_secret_and_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    file = environment.create(tmp_path)
    assert file == tmp_path / ".env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    settings = environment.load(tmp_path)
    secret = [settings[s.name] for s in environment.SETTINGS if s.secret]
    assert len(set(secret)) == 9
    assert len(settings["SECRET_KEY"]) >= 32
    assert len(settings["MINIO_ACCESS_KEY"]) <= 20  # what MinIO takes at most
    assert len(settings["MINIO_SECRET_KEY"]) <= 40
    assert settings["POSTGRES_USER"] == "facet"


def test_two_new_files_share_no_secret(tmp_path: Path) -> None:
    texts = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        texts.append(environment.read(environment.create(tmp_path / name)))
    assert not {texts[0][s.name] for s in environment.SETTINGS if s.secret} & set(texts[1].values())


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SECRET_KEY=mine\n")
    with pytest.raises(environment.EnvironmentExists, match="left alone"):
        environment.create(tmp_path)
    assert environment.load(tmp_path) == {"SECRET_KEY": "mine"}


def test_another_file_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACET_ENV_FILE", str(tmp_path / "other.env"))
    assert environment.create(tmp_path / "project") == tmp_path / "other.env"


def test_a_project_without_the_file_sets_nothing(tmp_path: Path) -> None:
    assert environment.load(tmp_path) == {}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("KEY=plain", "plain"),
        ("KEY = spaces around ", "spaces around"),
        ("KEY=with=equals==", "with=equals=="),
        ("KEY=value # a comment", "value"),
        ("KEY=hash#inside", "hash#inside"),
        ('KEY="quoted # not a comment"', "quoted # not a comment"),
        ("KEY='single \"inside\" # too'", 'single "inside" # too'),
        (r'KEY="line\nbreak"', "line\nbreak"),
        (r"KEY='no\nbreak'", r"no\nbreak"),
        ("export KEY=exported", "exported"),
        ("OTHER=a\nKEY=${OTHER}b", "ab"),
        ("KEY=${ABSENT:-fallback}", "fallback"),
    ],
)
def test_values_are_read_as_docker_compose_reads_them(tmp_path: Path, line: str, value: str) -> None:
    (tmp_path / ".env").write_text(f"{line}\n")
    assert environment.load(tmp_path)["KEY"] == value


def test_the_marks_of_other_editors_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbfONE=1\r\nTWO=2\r\n")
    assert environment.load(tmp_path) == {"ONE": "1", "TWO": "2"}


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"KEY=\xff\xfe\n")
    with pytest.raises(environment.EnvironmentUnreadable, match="not UTF-8"):
        environment.load(tmp_path)


def test_an_empty_value_counts_as_not_set(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("POSTGRES_HOST=\nRABBITMQ_HOST\n# MINIO_HOST=x\n")
    assert environment.load(tmp_path) == {}


def test_a_broken_line_is_named_without_its_value(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GOOD=1\nSECRET_KEY='never closed\n")
    with pytest.raises(environment.EnvironmentUnreadable, match="line 2") as refusal:
        environment.load(tmp_path)
    assert "never closed" not in str(refusal.value)


def test_secrets_of_services_are_kept_in_the_state_and_the_projects_own_file_overrules_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACET_STATE", str(tmp_path))
    monkeypatch.delenv("POSTGRES_PASSWORD", raising=False)
    environment.keep(tmp_path)
    made = environment.read(tmp_path / "secrets.env")
    assert stat.S_IMODE((tmp_path / "secrets.env").stat().st_mode) == 0o600
    assert "SECRET_KEY" not in made  # the functions' own affair
    environment.keep(tmp_path)
    assert environment.effective(tmp_path)["POSTGRES_PASSWORD"] == made["POSTGRES_PASSWORD"]
    (tmp_path / ".env").write_text("POSTGRES_PASSWORD=mine\n")
    assert environment.effective(tmp_path)["POSTGRES_PASSWORD"] == "mine"


def test_a_parameter_takes_its_value_from_the_environment_but_not_from_the_shells_own_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACET_STATE", str(tmp_path))
    monkeypatch.setenv("TABLE_NAME", "orders")
    monkeypatch.setenv("USER", "me")
    found = environment.effective(tmp_path, ("TABLE_NAME", "USER"))
    assert found["TABLE_NAME"] == "orders"
    assert "USER" not in found
