"""What a template says of the services and parts its project needs."""

from pathlib import Path

import pytest

from local.cloud import project
from local.template import Template, load

ROOT = Path(__file__).parents[3]
FUNCTION = "F: { Type: AWS::Serverless::Function, Properties: { CodeUri: ., Handler: app.handler"
MAPPING = "Events: { Q: { Type: MQ, Properties: { Broker: arn, Queues: [orders] } } }"


def template(folder: Path, parameters: str, *, events: str = "") -> Template:
    path = folder / "template.yaml"
    path.write_text(f"Parameters: {{ {parameters} }}\nResources: {{ {FUNCTION}, {events} }} }} }}\n")
    return load(path)


@pytest.mark.parametrize(
    ("parameters", "events", "needed"),
    [
        ("", "", set()),
        ("PostgresHost: { Type: String }", "", {"postgres"}),
        ("MinioHost: { Type: String }, RabbitmqHost: { Type: String }", "", {"objects", "rabbitmq"}),
        ("", MAPPING, {"rabbitmq"}),
    ],
)
def test_a_service_is_needed_for_its_parameter_and_a_broker_for_a_queue(
    tmp_path: Path, parameters: str, events: str, needed: set[str]
) -> None:
    assert project.services(template(tmp_path, parameters, events=events)) == needed


def test_only_facets_own_template_makes_avatars(tmp_path: Path) -> None:
    assert project.makes_avatars(load(ROOT / "template.yaml"))
    assert not project.makes_avatars(template(tmp_path, "SecretKey: { Type: String }"))
