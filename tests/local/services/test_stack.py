"""The services as tests and `facet up` use them."""

import pika  # type: ignore[import-untyped]  # it has no stubs
import psycopg

Settings = dict[str, str]


def test_the_application_reaches_its_database(database: Settings) -> None:
    with psycopg.connect(
        host=database["POSTGRES_HOST"],
        port=database["POSTGRES_PORT"],
        user=database["POSTGRES_USER"],
        password=database["POSTGRES_PASSWORD"],
        dbname=database["POSTGRES_DB"],
    ) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)


def test_the_application_reaches_its_virtual_host(broker: Settings) -> None:
    credentials = pika.PlainCredentials(broker["RABBITMQ_USER"], broker["RABBITMQ_PASSWORD"])
    parameters = pika.ConnectionParameters(
        broker["RABBITMQ_HOST"], int(broker["RABBITMQ_PORT"]), broker["RABBITMQ_VHOST"], credentials
    )
    connection = pika.BlockingConnection(parameters)
    assert connection.is_open
    connection.close()
