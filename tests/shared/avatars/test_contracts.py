"""The message contracts: the models, and the documents that are made of them."""

import json
import uuid
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # its types are a package of their own
import pytest

from avatars import contracts
from infra.contracts import TARGET, rendered

TASK = str(uuid.uuid4())


def read(**message: object) -> contracts.Report:
    return contracts.read_report(json.dumps({"request_uuid": TASK, **message}).encode())


def test_a_status_is_progress_and_a_file_is_a_result() -> None:
    file = {"bucket": "3d-files", "file_name": f"{TASK}.glb"}
    assert isinstance(read(status="IN_PROGRESS"), contracts.TaskProgress)
    assert isinstance(read(status="FAILED", minio_metadata=None), contracts.TaskProgress)
    assert isinstance(read(minio_metadata=file, mesh_metadata=None), contracts.TaskResult)
    assert isinstance(read(minio_metadata=file, status="SUCCESS"), contracts.TaskResult)


def test_fields_of_a_newer_agent_are_left_alone() -> None:
    assert read(status="IN_PROGRESS", eta=3, error={"code": "NO_FACE", "detail": {}}) is not None


def test_a_skin_colour_is_written_in_small_letters() -> None:
    report = read(minio_metadata={"bucket": "b", "file_name": "f"}, mesh_metadata={"skin_color_hex": "#BA997A"})
    assert isinstance(report, contracts.TaskResult)
    assert report.mesh_metadata == contracts.Mesh(skin_color_hex="#ba997a")


@pytest.mark.parametrize("color", ["ba997a", "#ba997", "#ba997a0", "red", "#ba997a\n", 7])
def test_a_skin_colour_of_another_shape_is_malformed(color: object) -> None:
    with pytest.raises(contracts.Malformed, match="skin_color_hex"):
        read(minio_metadata={"bucket": "b", "file_name": "f"}, mesh_metadata={"skin_color_hex": color})


def test_a_refusal_is_short_and_quotes_nothing() -> None:
    with pytest.raises(contracts.Malformed) as caught:
        read(status="hunter2" * 100, progress="hunter2", error="hunter2", stage=["hunter2"] * 50)
    assert len(str(caught.value)) <= 500
    assert "hunter2" not in str(caught.value)
    assert "progress" in str(caught.value)


def test_the_task_message_has_the_old_keys_in_the_old_order() -> None:
    inputs = contracts.TaskInput(input_file_url="u", emotions_files_urls=["e"], output_bucket="3d-files")
    message = contracts.TaskRequested(
        request_uuid=uuid.UUID(TASK), task_client_type="WEB_SERVICE", task_input_metadata=inputs
    )
    assert message.model_dump_json() == (
        f'{{"request_uuid":"{TASK}","task_client_type":"WEB_SERVICE","task_input_metadata":'
        '{"input_file_url":"u","emotions_files_urls":["e"],"output_bucket":"3d-files"}}'
    )


def test_the_exported_documents_are_those_of_the_models() -> None:
    assert {path.name: path.read_text() for path in TARGET.iterdir()} == rendered(), "run `make contracts`"


def schemas() -> dict[str, dict[str, Any]]:
    return {name: json.loads(text) for name, text in rendered().items() if name != "asyncapi.json"}


def test_the_schemas_are_schemas_and_fit_the_messages() -> None:
    for schema in schemas().values():
        jsonschema.Draft202012Validator.check_schema(schema)
    progress, result = schemas()["avatar.progress.v1.json"], schemas()["avatar.result.v1.json"]
    jsonschema.validate({"request_uuid": TASK, "status": "IN_PROGRESS", "progress": 40, "extra": 1}, progress)
    jsonschema.validate({"request_uuid": TASK, "minio_metadata": {"bucket": "b", "file_name": "f"}}, result)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"request_uuid": TASK, "status": "DONE"}, progress)


def references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [found for value in node.values() for found in references(value)]
    return [found for value in node for found in references(value)] if isinstance(node, list) else []


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = json.loads(rendered()["asyncapi.json"])
    found = references(document)
    assert len(found) > 10
    for reference in found:
        if reference.startswith("./"):
            assert Path(reference).name in schemas()
            continue
        node = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


def test_the_queues_of_the_document_are_the_defaults_of_the_settings() -> None:
    from facet.settings import Settings

    document = json.loads(rendered()["asyncapi.json"])
    defaults = Settings.model_fields
    assert document["channels"]["tasks"]["address"] == defaults["rabbitmq_tasks_queue"].default
    assert document["channels"]["results"]["address"] == defaults["rabbitmq_tasks_results_queue"].default
