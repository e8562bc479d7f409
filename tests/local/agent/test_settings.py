"""The agent's settings."""

import pytest

from local.agent.settings import Settings, SettingsError

GIVEN = {
    "RABBITMQ_HOST": "broker",
    "RABBITMQ_USER": "agent",
    "RABBITMQ_PASSWORD": "hush-rabbit",
    "MINIO_HOST": "store:9000",
    "MINIO_ACCESS_KEY": "key",
    "MINIO_SECRET_KEY": "hush-store",
}


def test_what_is_not_given_has_the_documented_default() -> None:
    settings = Settings.read(GIVEN)
    assert (settings.port, settings.vhost, settings.region) == (5672, "/", "us-east-1")
    assert (settings.tasks_queue, settings.results_queue) == ("generation_tasks", "generation_task_results")
    assert settings.ready_file is None


@pytest.mark.parametrize(
    ("host", "endpoint"), [("store:9000", "http://store:9000"), ("https://s3.example.org", "https://s3.example.org")]
)
def test_the_store_is_given_as_url_or_as_host_and_port(host: str, endpoint: str) -> None:
    assert Settings.read({**GIVEN, "MINIO_HOST": host}).endpoint == endpoint


def test_what_is_missing_is_named_all_at_once() -> None:
    with pytest.raises(SettingsError, match=r"not set: RABBITMQ_PASSWORD, MINIO_SECRET_KEY$"):
        Settings.read({**GIVEN, "RABBITMQ_PASSWORD": "", "MINIO_SECRET_KEY": ""})


def test_a_port_that_is_no_number_is_named() -> None:
    with pytest.raises(SettingsError, match="RABBITMQ_PORT"):
        Settings.read({**GIVEN, "RABBITMQ_PORT": "amqp"})


def test_secrets_are_not_shown() -> None:
    assert "hush" not in repr(Settings.read(GIVEN))
