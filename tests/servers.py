"""Ways into the servers of a test run, beside the product's own."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx
import psycopg

from local.services import rabbitmq


def postgres(settings: Mapping[str, str], *, autocommit: bool = False) -> psycopg.Connection[tuple[Any, ...]]:
    """A connection by POSTGRES_*; `with` commits and closes it."""
    return psycopg.connect(
        host=settings["POSTGRES_HOST"],
        port=settings["POSTGRES_PORT"],
        user=settings["POSTGRES_USER"],
        password=settings["POSTGRES_PASSWORD"],
        dbname=settings["POSTGRES_DB"],
        autocommit=autocommit,
    )


def management(settings: Mapping[str, str]) -> httpx.Client:
    """A client of RabbitMQ's HTTP API."""
    return httpx.Client(
        base_url=f"{settings['RABBITMQ_MANAGEMENT_URL']}/api",
        auth=(settings["RABBITMQ_USER"], settings["RABBITMQ_PASSWORD"]),
        trust_env=False,
    )


def create_vhost(settings: Mapping[str, str], name: str) -> dict[str, str]:
    """The broker settings of a new virtual host in which both users have their usual rights."""
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    rights = {
        settings["RABBITMQ_USER"]: everything,
        settings["AGENT_RABBITMQ_USER"]: rabbitmq.agent_rights(settings),
    }
    with management(settings) as http:
        http.put(f"/vhosts/{quote(name, safe='')}").raise_for_status()
        for user, allowed in rights.items():
            http.put(f"/permissions/{quote(name, safe='')}/{quote(user, safe='')}", json=allowed).raise_for_status()
    return {**named(settings, "RABBITMQ_", "AGENT_RABBITMQ_"), "RABBITMQ_VHOST": name}


def named(settings: Mapping[str, str], *prefixes: str) -> dict[str, str]:
    """The settings whose names begin like this."""
    return {name: value for name, value in settings.items() if name.startswith(prefixes)}
