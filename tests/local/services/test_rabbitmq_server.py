"""Finding RabbitMQ's programs."""

from pathlib import Path

import pytest

from local.services import rabbitmq_server


def test_a_server_of_the_system_is_called_by_its_own_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cellar = tmp_path / "Cellar/rabbitmq/4.1/sbin"
    for file in (cellar / "rabbitmq-server", tmp_path / "bin/epmd"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("#!/bin/sh\n")
        file.chmod(0o755)
    (tmp_path / "bin/rabbitmq-server").symlink_to(cellar / "rabbitmq-server")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(rabbitmq_server, "PACKAGED", tmp_path / "none")
    assert rabbitmq_server.installed() == rabbitmq_server.Server(cellar, tmp_path / "bin/epmd", str(tmp_path / "bin"))


def test_a_packaged_server_is_preferred_to_its_wrapper_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sbin = tmp_path / "lib/rabbitmq_server-3.10.8/sbin"
    for file in (sbin / "rabbitmq-server", tmp_path / "bin/rabbitmq-server", tmp_path / "bin/epmd"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("#!/bin/sh\n")
        file.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(rabbitmq_server, "PACKAGED", tmp_path / "lib")
    found = rabbitmq_server.installed()
    assert found is not None
    assert found.sbin == sbin
