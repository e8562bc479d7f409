"""The OpenAPI document says what the endpoints declare."""

from collections.abc import Mapping
from typing import Annotated, Any

import pytest
from openapi_spec_validator import validate
from pydantic import BaseModel, Field, create_model

from facet import db, openapi
from facet.auth import USER, Caller, api_key
from facet.function import Function
from facet.http import UploadedFile
from facet.problems import Problem


class Upload(BaseModel):
    upload_id: int = Field(examples=[7])


class PhotoForm(BaseModel):
    task_source_file: UploadedFile = Field(description="A face")
    title: str | None = None


class Page(BaseModel):
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    status: list[str] = []


class Asked(BaseModel):
    idempotency_key: str = Field(alias="idempotency-key", description="The client's name for this")


class Accepted(BaseModel):
    request_uuid: str
    skipped: int | None = None


class NotAnImage(Exception):
    status, code, title = 415, "NOT_AN_IMAGE", "Only image files are accepted"


class Busy(Problem):
    status, code, title = 503, "BUSY", "Busy"
    headers: Mapping[str, str] = {"Retry-After": "1"}


def nobody(conn: object, key: str) -> None:
    db.transaction()


create = Function("create_task")


@create.endpoint(
    "POST", "/tasks", form=PhotoForm, body=Upload, headers=Asked, returns=Accepted, status=201, caller=USER,
    raises=[NotAnImage, Busy], kept=True, tags=["tasks"],
)  # fmt: skip
@create.endpoint("POST", "/integrations/tasks", form=PhotoForm, returns=Accepted, status=201, caller=api_key(nobody))
def create_task(caller: Caller, form: PhotoForm | None) -> Accepted:
    """Make an avatar.

    It takes a while.
    """
    raise AssertionError


read = Function("read_task")


@read.endpoint("GET", "/tasks/{uuid}", query=Page, returns=Accepted, summary="One task")
@read.endpoint("DELETE", "/tasks/{uuid}", status=204)
def read_task(uuid: str) -> Any:
    raise AssertionError


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.document([read, create], version="1.2.3")


@pytest.fixture(scope="module")
def post(document: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = document["paths"]["/tasks"]["post"]
    return operation


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_every_endpoint_is_in_it_below_the_prefix(document: dict[str, Any]) -> None:
    assert {path: list(operations) for path, operations in document["paths"].items()} == {
        "/integrations/tasks": ["post"],
        "/tasks": ["post"],
        "/tasks/{uuid}": ["delete", "get"],
    }
    assert document["servers"] == [{"url": "/api/v1"}]
    assert document["info"]["version"] == "1.2.3"


def test_operations_are_named_after_their_function_and_no_two_alike(document: dict[str, Any]) -> None:
    names = {
        (path, method): operation["operationId"]
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert names == {
        ("/tasks", "post"): "create_task",
        ("/integrations/tasks", "post"): "create_task_integrations",
        ("/tasks/{uuid}", "delete"): "read_task",
        ("/tasks/{uuid}", "get"): "read_task_2",
    }


def test_the_same_declarations_give_the_same_document_in_any_order(document: dict[str, Any]) -> None:
    assert openapi.document([create, read], version="1.2.3") == document


def test_both_kinds_of_content_are_described(document: dict[str, Any], post: dict[str, Any]) -> None:
    assert post["requestBody"]["content"] == {
        "application/json": {"schema": {"$ref": "#/components/schemas/Upload"}},
        "multipart/form-data": {"schema": {"$ref": "#/components/schemas/PhotoForm"}},
    }
    file = document["components"]["schemas"]["PhotoForm"]["properties"]["task_source_file"]
    assert (file["type"], file["format"], file["description"]) == ("string", "binary", "A face")


def test_parameters_are_described_where_they_are_sent(document: dict[str, Any], post: dict[str, Any]) -> None:
    assert post["parameters"] == [
        {
            "name": "idempotency-key",
            "in": "header",
            "required": True,
            "schema": {"type": "string"},
            "description": "The client's name for this",
        }
    ]
    [uuid, limit, status] = document["paths"]["/tasks/{uuid}"]["get"]["parameters"]
    assert uuid == {"name": "uuid", "in": "path", "required": True, "schema": {"type": "string"}}
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
    assert (status["name"], status["in"], status["required"]) == ("status", "query", False)
    assert not {"Page", "Asked"} & document["components"]["schemas"].keys()


def codes(operation: Mapping[str, Any]) -> dict[str, set[str]]:
    return {
        status: set(response["content"]["application/problem+json"]["examples"])
        for status, response in operation["responses"].items()
        if status >= "400"
    }


def test_every_failure_is_listed_by_status_and_code(post: dict[str, Any]) -> None:
    assert codes(post) == {
        "400": {"MALFORMED_BODY"},
        "401": {"TOKEN_EXPIRED"},
        "403": {"TOKEN_INVALID"},
        "413": {"BODY_TOO_LARGE"},
        "415": {"NOT_AN_IMAGE"},
        "422": {"VALIDATION_FAILED"},
        "500": {"INTERNAL_ERROR"},
        "503": {"BUSY", "DATABASE_UNAVAILABLE"},
    }


def test_a_kept_route_fails_in_the_old_form_too(document: dict[str, Any], post: dict[str, Any]) -> None:
    assert set(post["responses"]["403"]["content"]) == {"application/json", "application/problem+json"}
    added = document["paths"]["/integrations/tasks"]["post"]["responses"]["401"]["content"]
    assert set(added) == {"application/problem+json"}


def test_the_success_is_what_the_view_returns(document: dict[str, Any], post: dict[str, Any]) -> None:
    assert post["responses"]["201"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Accepted"
    }
    assert document["paths"]["/tasks/{uuid}"]["delete"]["responses"]["204"] == {"description": "No Content"}


def test_who_may_call_is_said(document: dict[str, Any], post: dict[str, Any]) -> None:
    assert post["security"] == [{"accessToken": []}, {"bearer": []}]
    assert document["paths"]["/integrations/tasks"]["post"]["security"] == [{"apiKey": []}]
    assert "security" not in document["paths"]["/tasks/{uuid}"]["get"]
    assert document["components"]["securitySchemes"].keys() == {"accessToken", "bearer", "apiKey"}


def test_texts_come_from_the_declaration_or_the_docstring(document: dict[str, Any], post: dict[str, Any]) -> None:
    assert (post["summary"], post["description"]) == ("Make an avatar", "It takes a while.")
    assert (post["tags"], document["paths"]["/integrations/tasks"]["post"]["tags"]) == (["tasks"], ["integrations"])
    assert document["paths"]["/tasks/{uuid}"]["get"]["summary"] == "One task"


def test_models_of_the_same_name_are_told_apart() -> None:
    app = Function("example")
    for field in ("one", "two"):
        fields: Any = {field: (int, ...)}

        @app.endpoint("POST", f"/{field}", body=create_model("Same", __module__=f"functions.{field}.handler", **fields))
        def view() -> None:
            raise AssertionError

    document = openapi.document([app], version="1")
    validate(document)
    bodies = [document["paths"][path]["post"]["requestBody"] for path in ("/one", "/two")]
    assert bodies[0] != bodies[1]
