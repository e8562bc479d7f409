"""Settings: the environment, typed, and errors that name variables and never their values."""

from pathlib import Path

import pytest

from facet.settings import Rate, SettingsError, settings

Env = pytest.MonkeyPatch


def test_a_function_that_needs_nothing_works_in_an_empty_environment(bare_environment: Env) -> None:
    assert settings().path_prefix == "/api/v1"
    assert settings().integrations_auth == "required"
    assert settings().access_token_expire_minutes == 15


@pytest.mark.parametrize(
    "name", ["secret_key", "refresh_secret_key", "postgres_host", "minio_host", "minio_public_url"]
)
def test_a_value_without_a_default_is_missed_when_it_is_read(bare_environment: Env, name: str) -> None:
    with pytest.raises(SettingsError, match=name.upper()):
        getattr(settings(), name)


def test_the_environment_is_read_once(bare_environment: Env) -> None:
    bare_environment.setenv("POSTGRES_HOST", "one")
    assert settings().postgres_host == "one"
    bare_environment.setenv("POSTGRES_HOST", "two")
    assert settings().postgres_host == "one"


def test_every_wrong_variable_is_named_and_no_value_shown(bare_environment: Env) -> None:
    bare_environment.setenv("SECRET_KEY", "too short")
    bare_environment.setenv("POSTGRES_PORT", "fivefourthreetwo")
    bare_environment.setenv("HASH_ALGORITHM", "none")
    with pytest.raises(SettingsError) as caught:
        settings()
    text = str(caught.value)
    assert all(name in text for name in ("SECRET_KEY", "POSTGRES_PORT", "HASH_ALGORITHM", ".env"))
    assert "too short" not in text
    assert "fivefour" not in text
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_secrets_are_not_printed(bare_environment: Env) -> None:
    bare_environment.setenv("POSTGRES_PASSWORD", "s3cret")
    assert "s3cret" not in repr(settings())
    assert settings().postgres_password.get_secret_value() == "s3cret"


def test_an_empty_variable_counts_as_not_set(bare_environment: Env) -> None:
    bare_environment.setenv("MINIO_PUBLIC_URL", "")
    bare_environment.setenv("MINIO_HOST", "storage:9000")
    bare_environment.setenv("RABBITMQ_MANAGEMENT_URL", "")
    assert settings().minio_public_url == "http://storage:9000"
    assert settings().rabbitmq_management_url is None


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("localhost:9000", "http://localhost:9000"),
        ("http://s3:9000/", "http://s3:9000"),
        ("https://s3.eu", "https://s3.eu"),
    ],
)
def test_the_storage_address_is_a_url(bare_environment: Env, given: str, url: str) -> None:
    bare_environment.setenv("MINIO_HOST", given)
    assert settings().minio_host == url
    assert settings().minio_public_url == url


@pytest.mark.parametrize(("given", "prefix"), [("/", ""), ("api", "/api"), ("/api/v2/", "/api/v2")])
def test_the_path_prefix_starts_with_a_slash_and_does_not_end_with_one(
    bare_environment: Env, given: str, prefix: str
) -> None:
    bare_environment.setenv("PATH_PREFIX", given)
    assert settings().path_prefix == prefix


def test_origins_are_separated_by_commas(bare_environment: Env) -> None:
    bare_environment.setenv("CORS_ORIGINS", "http://localhost:5173, https://app.example.org,")
    assert settings().cors_origins == ("http://localhost:5173", "https://app.example.org")


def test_an_unknown_name_is_an_attribute_error(bare_environment: Env) -> None:
    assert not hasattr(settings(), "no_such_setting")


@pytest.mark.parametrize(
    ("given", "rate"),
    [("5/10", Rate(5, 10)), (" 5 / 10 ", Rate(5, 10)), ("off", None), ("OFF", None), ("", Rate(30, 60))],
)
def test_a_rate_is_requests_per_seconds_or_off(bare_environment: Env, given: str, rate: Rate | None) -> None:
    bare_environment.setenv("LIMIT_CREATES_PER_OWNER", given)
    assert settings().limit_creates_per_owner == rate


@pytest.mark.parametrize("given", ["5", "5/", "/10", "0/10", "5/0", "-5/10", "five/10", "5/10/2", "5.5/10"])
def test_anything_else_is_no_rate(bare_environment: Env, given: str) -> None:
    bare_environment.setenv("LIMIT_CREATES_PER_OWNER", given)
    with pytest.raises(SettingsError, match="LIMIT_CREATES_PER_OWNER"):
        settings()


# ---- Secrets in one variable ----------------------------------------------------------------------------------------
def test_one_variable_may_hold_many_settings_and_each_may_be_overruled(bare_environment: Env) -> None:
    bare_environment.setenv("FACET_SECRETS", '{"POSTGRES_PASSWORD": "hidden", "POSTGRES_USER": "ada", "username": "x"}')
    bare_environment.setenv("POSTGRES_USER", "bob")
    bare_environment.setenv("POSTGRES_PASSWORD", "")
    assert settings().postgres_password.get_secret_value() == "hidden"
    assert settings().postgres_user == "bob"


@pytest.mark.parametrize("given", ["hidden", '["hidden"]', '{"POSTGRES_PASSWORD": 1}'])
def test_secrets_that_are_no_object_of_texts_are_refused_and_not_shown(bare_environment: Env, given: str) -> None:
    bare_environment.setenv("FACET_SECRETS", given)
    with pytest.raises(SettingsError, match="FACET_SECRETS is no JSON object") as caught:
        settings()
    assert "hidden" not in str(caught.value)


# ---- S3 on AWS ------------------------------------------------------------------------------------------------------
ROLE = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "ASIA", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}


@pytest.fixture
def on_aws(bare_environment: Env) -> Env:
    for name, value in ROLE.items():
        bare_environment.setenv(name, value)
    return bare_environment


def test_a_function_on_aws_uses_its_role_and_the_s3_of_its_region(on_aws: Env) -> None:
    assert settings().minio_host == settings().minio_public_url == "https://s3.eu-west-1.amazonaws.com"
    assert settings().minio_region == "eu-west-1"
    assert settings().minio_access_key == "ASIA"
    assert settings().minio_secret_key.get_secret_value() == "s"
    token = settings().minio_session_token
    assert token is not None
    assert token.get_secret_value() == "t"


def test_buckets_may_be_in_another_region(on_aws: Env) -> None:
    on_aws.setenv("MINIO_REGION", "cn-north-1")
    assert settings().minio_host == "https://s3.cn-north-1.amazonaws.com.cn"
    assert settings().minio_region == "cn-north-1"


def test_an_endpoint_of_aws_gets_the_role(on_aws: Env) -> None:
    on_aws.setenv("MINIO_HOST", "https://s3.dualstack.eu-west-1.amazonaws.com")
    assert (settings().minio_access_key, settings().minio_region) == ("ASIA", "eu-west-1")


@pytest.mark.parametrize("host", ["storage:9000", "https://s3.amazonaws.com.evil.example"])
def test_no_other_storage_is_shown_the_role(on_aws: Env, host: str) -> None:
    on_aws.setenv("MINIO_HOST", host)
    assert settings().minio_session_token is None
    with pytest.raises(SettingsError, match="MINIO_ACCESS_KEY"):
        _ = settings().minio_access_key


@pytest.mark.parametrize("name", ["MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"])
def test_keys_of_ones_own_are_not_mixed_with_those_of_the_role(on_aws: Env, name: str) -> None:
    on_aws.setenv(name, "own")
    assert settings().minio_session_token is None
    assert "ASIA" not in repr(settings())


def test_elsewhere_a_storage_has_to_be_named(bare_environment: Env) -> None:
    bare_environment.setenv("MINIO_REGION", "eu-west-1")
    with pytest.raises(SettingsError, match="MINIO_HOST is not set"):
        _ = settings().minio_host


def test_files_of_a_folder_hold_what_no_variable_does(bare_environment: Env, tmp_path: Path) -> None:
    (tmp_path / "POSTGRES_USER").write_text("ada\n")
    (tmp_path / "postgres-password").write_text("two words ")
    (tmp_path / "POSTGRES_HOST").write_text("of the file")
    (tmp_path / "something.else").write_text("not a setting")
    (tmp_path / "..data").mkdir()
    bare_environment.setenv("FACET_SECRETS_DIR", str(tmp_path))
    bare_environment.setenv("POSTGRES_HOST", "of the variable")
    found = settings()
    assert (found.postgres_user, found.postgres_host) == ("ada", "of the variable")
    assert found.postgres_password.get_secret_value() == "two words "


@pytest.mark.parametrize("content", [None, b"\xff hidden"])
def test_a_folder_of_secrets_that_cannot_be_read_is_named_without_them(
    bare_environment: Env, tmp_path: Path, content: bytes | None
) -> None:
    folder = tmp_path / "secrets"
    if content:
        folder.mkdir()
        (folder / "SECRET_KEY").write_bytes(content)
    bare_environment.setenv("FACET_SECRETS_DIR", str(folder))
    with pytest.raises(SettingsError, match=f"FACET_SECRETS_DIR, {folder}") as caught:
        settings()
    assert "hidden" not in str(caught.value)
