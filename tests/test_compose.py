"""compose.yaml is valid, its parts fit together, and it carries no password."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = COMPOSE["services"]
ONE_SHOT = {name for name, service in SERVICES.items() if service.get("restart") == "no"}


def check_schema(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_it_follows_the_compose_specification() -> None:
    result = check_schema(ROOT / "compose.yaml")
    assert result.returncode == 0, result.stdout


def test_the_check_finds_a_wrong_file(tmp_path: Path) -> None:
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(TEXT.replace("healthcheck:", "health_check:"))
    assert "health_check" in check_schema(wrong).stdout


def test_what_a_service_depends_on_exists_and_can_fulfil_the_condition() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in SERVICES, f"{name} depends on {other}, which is not there"
            if how["condition"] == "service_completed_successfully":
                assert other in ONE_SHOT
            else:
                assert "healthcheck" in SERVICES[other]


def test_volumes_and_networks_are_declared() -> None:
    for name, service in SERVICES.items():
        assert set(service.get("networks", [])) <= set(COMPOSE["networks"]), name
        mounts = {volume.split(":")[0] for volume in service.get("volumes", [])}
        assert {m for m in mounts if not m.startswith(".")} <= set(COMPOSE["volumes"]), name
        assert all((ROOT / m).exists() for m in mounts if m.startswith(".")), name


def test_every_service_that_stays_has_a_health_check() -> None:
    assert {name for name, service in SERVICES.items() if "healthcheck" not in service} == ONE_SHOT


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\$\{(\w*(?:PASSWORD|SECRET|ACCESS_KEY)\w*)", TEXT))))
def test_a_secret_has_no_default(name: str) -> None:
    assert set(re.findall(r"\$\{" + name + r"\b([^}]*)\}", TEXT)) == {":?run make env"}


def test_the_variables_are_documented_settings() -> None:
    documented = set(re.findall(r"^#? ?(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert set(re.findall(r"\$\{(\w+)", TEXT)) <= documented


def test_functions_get_every_setting_that_the_template_declares() -> None:
    template = (ROOT / "template.yaml").read_text()
    declared = set(re.findall(r"^ {8}([A-Z][A-Z0-9_]+): ", template, re.MULTILINE))
    assert declared <= set(SERVICES["functions"]["environment"])


def test_our_image_is_built_here_and_can_write_its_state() -> None:
    ours = {name: service for name, service in SERVICES.items() if service["image"].startswith("facet:")}
    assert set(ours) == {"migrate", "functions", "triggers", "agent"}
    for service in ours.values():
        assert (ROOT / service["build"]["dockerfile"]).is_file()
        assert "/state:uid=10001,gid=10001,mode=0700" in service["tmpfs"]


def test_postgres_is_asked_over_tcp() -> None:
    # While it initialises, the server answers on its socket only.
    assert "-h 127.0.0.1" in SERVICES["postgres"]["healthcheck"]["test"][1]


def test_the_agent_gets_no_secret_of_ours() -> None:
    ours = {"SECRET_KEY", "REFRESH_SECRET_KEY", "POSTGRES_PASSWORD"}
    environment = SERVICES["agent"]["environment"]
    assert not ours & set(environment)
    assert environment["MINIO_SECRET_KEY"] != SERVICES["functions"]["environment"]["MINIO_SECRET_KEY"]
    assert environment["RABBITMQ_PASSWORD"] != SERVICES["functions"]["environment"]["RABBITMQ_PASSWORD"]


def test_the_agents_passwords_are_known_to_itself_and_to_who_sets_them() -> None:
    knowing = {
        secret: {name for name, service in SERVICES.items() if secret in json.dumps(service.get("environment", {}))}
        for secret in ("${AGENT_RABBITMQ_PASSWORD", "${AGENT_MINIO_SECRET_KEY")
    }
    assert list(knowing.values()) == [{"migrate", "agent"}, {"minio-agent", "agent"}]
