"""The OpenAPI document says what the endpoints declare."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import pytest
from openapi_spec_validator import validate
from pydantic import BaseModel, Field, create_model

from facet import db, openapi
from facet.auth import USER, Caller, api_key
from facet.function import Function
from facet.http import UploadedFile
from facet.limits import per_address
from facet.openapi.examples import NoExample
from facet.problems import Problem
from tests.layers import examples


class Upload(BaseModel):
    upload_id: int = Field(examples=[7])


class PhotoForm(BaseModel):
    task_source_file: UploadedFile = Field(description="A face", json_schema_extra={"contentMediaType": "image/*"})
    title: str | None = None


class Page(BaseModel):
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    status: list[str] = []
    cursor: str | None = None


class Asked(BaseModel):
    idempotency_key: str = Field(alias="idempotency-key", description="The client's name for this", examples=["7"])


class Known(BaseModel):
    etag: str | None = Field(default=None, alias="if-none-match")
    prefer: str | None = None


class Accepted(BaseModel):
    request_uuid: str
    skipped: int | None = None


class NotAnImage(Exception):
    """It cannot be decoded.

    What only we need to know.
    """

    status, code, title = 415, "NOT_AN_IMAGE", "Only image files are accepted"


class Busy(Problem):
    status, code, title = 503, "BUSY", "Busy"
    headers: Mapping[str, str] = {"Retry-After": "1"}


def nobody(conn: object, key: str) -> None:
    db.transaction()


BY_KEY = api_key(nobody, scope="tasks:write")
create = Function("create_task")


@create.endpoint(
    "POST", "/tasks", form=PhotoForm, body=Upload, headers=Asked, returns=Accepted, status=201, caller=USER,
    raises=[NotAnImage, Busy], kept=True, tags=["tasks"],
)  # fmt: skip
@create.endpoint("POST", "/integrations/tasks", form=PhotoForm, returns=Accepted, status=201, caller=BY_KEY)
def create_task(caller: Caller, form: PhotoForm | None) -> Accepted:
    """Make an avatar.

    It takes a while.
    """
    raise AssertionError


read = Function("read_task")


@read.endpoint("GET", "/tasks/{uuid}", query=Page, headers=Known, returns=Accepted, summary="One task")
@read.endpoint("DELETE", "/tasks/{uuid}", status=204, limits=[per_address("delete", "limit_registrations_per_address")])
def read_task(uuid: str) -> Any:
    raise AssertionError


@read.endpoint(
    "GET", "/tasks/{uuid}/files/{name}", status=302, returns=Accepted, produces=["text/html"], sends=["retry-after"]
)
def read_file(uuid: str, name: Annotated[Literal["photo.jpg"], Field(description="Which one")]) -> Any:
    raise AssertionError


renew = Function("renew")


class Pair(BaseModel):
    refresh_token: str


class Token(BaseModel):
    refresh_token: str = Field(alias="refresh-token")


@renew.endpoint("POST", "/sign-in", returns=Pair)
def sign_in() -> Any:
    raise AssertionError


@renew.endpoint("GET", "/tokens", headers=Token, returns=Pair)
@renew.endpoint("POST", "/tokens", body=Pair, returns=Pair)
def renew_token() -> Any:
    raise AssertionError


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.document([read, create, renew], version="1.2.3")


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
        "/sign-in": ["post"],
        "/tasks": ["post"],
        "/tasks/{uuid}": ["delete", "get"],
        "/tasks/{uuid}/files/{name}": ["get"],
        "/tokens": ["get", "post"],
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
        ("/tasks/{uuid}", "get"): "read_task_get",
        ("/tasks/{uuid}/files/{name}", "get"): "read_task_files",
        ("/tokens", "get"): "renew",
        ("/tokens", "post"): "renew_post",
        ("/sign-in", "post"): "renew_sign_in",
    }


def test_the_same_declarations_give_the_same_document_in_any_order(document: dict[str, Any]) -> None:
    assert openapi.document([renew, create, read], version="1.2.3") == document


def test_both_kinds_of_content_are_described(document: dict[str, Any], post: dict[str, Any]) -> None:
    assert post["requestBody"]["content"] == {
        "application/json": {"schema": {"$ref": "#/components/schemas/Upload"}, "example": {"upload_id": 7}},
        "multipart/form-data": {
            "schema": {"$ref": "#/components/schemas/PhotoForm"},
            "encoding": {"task_source_file": {"contentType": "image/*"}},
        },
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
            "example": "7",
        }
    ]
    [uuid, limit, status, cursor, *_] = document["paths"]["/tasks/{uuid}"]["get"]["parameters"]
    assert uuid == {
        "name": "uuid",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "format": "uuid"},
        "example": "0a9c7f1e-52f4-4d0e-8c39-6a5f0d2b7e11",
    }
    assert cursor["schema"] == {"type": "string"}, "an absent parameter is no null"
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
    assert (status["name"], status["in"], status["required"]) == ("status", "query", False)
    assert not {"Page", "Asked"} & document["components"]["schemas"].keys()


@pytest.fixture(scope="module")
def failures(document: dict[str, Any]) -> Callable[[str, str], dict[str, Any]]:
    """The failures of an operation by status, each in place of the reference to it."""

    def resolved(path: str, method: str) -> dict[str, Any]:
        responses = document["paths"][path][method]["responses"].items()
        shared = document["components"]["responses"]
        return {status: shared[each["$ref"].rpartition("/")[2]] for status, each in responses if "$ref" in each}

    return resolved


def test_every_failure_is_listed_by_status_and_code(failures: Callable[[str, str], dict[str, Any]]) -> None:
    codes = {}
    for status, response in failures("/tasks", "post").items():
        content = response["content"]["application/problem+json"]
        codes[status] = set(content["examples"])
        assert set(content["schema"]["allOf"][1]["properties"]["code"]["enum"]) == codes[status]
    assert codes == {
        "400": {"MALFORMED_BODY"},
        "401": {"TOKEN_EXPIRED"},
        "403": {"TOKEN_INVALID"},
        "413": {"BODY_TOO_LARGE"},
        "415": {"NOT_AN_IMAGE"},
        "422": {"VALIDATION_FAILED"},
        "500": {"INTERNAL_ERROR"},
        "503": {"BUSY", "DATABASE_UNAVAILABLE"},
    }


def test_a_kept_route_fails_in_the_old_form_too(failures: Callable[[str, str], dict[str, Any]]) -> None:
    assert set(failures("/tasks", "post")["403"]["content"]) == {"application/json", "application/problem+json"}
    assert set(failures("/integrations/tasks", "post")["401"]["content"]) == {"application/problem+json"}
    invalid = failures("/tasks", "post")["422"]["content"]["application/json"]["examples"]
    assert invalid["VALIDATION_FAILED"]["value"]["detail"][0]["msg"] == "Field required"


def test_the_parts_of_an_endpoint_imply_their_failures(failures: Callable[[str, str], dict[str, Any]]) -> None:
    assert {"404", "429", "503"} <= failures("/tasks/{uuid}", "delete").keys()
    assert "429" not in failures("/tasks/{uuid}", "get")


def test_the_success_is_what_the_view_returns(document: dict[str, Any], post: dict[str, Any]) -> None:
    assert post["responses"]["201"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Accepted"
    }
    deleted = document["paths"]["/tasks/{uuid}"]["delete"]["responses"]["204"]
    assert (deleted["description"], "content" in deleted) == ("No Content", False)


def test_answers_have_all_their_fields(document: dict[str, Any]) -> None:
    assert document["components"]["schemas"]["Accepted"]["required"] == ["request_uuid", "skipped"]


def headers(document: Mapping[str, Any], path: str, method: str, status: str) -> set[str]:
    found: set[str] = set(document["paths"][path][method]["responses"][status]["headers"])
    return found - {"X-Request-Id"}


def test_headers_of_answers_follow_from_what_is_declared(document: dict[str, Any]) -> None:
    assert headers(document, "/tasks", "post", "201") == {"Idempotent-Replayed"}
    assert headers(document, "/tasks/{uuid}", "get", "200") == {"ETag", "Link", "Preference-Applied"}
    assert headers(document, "/tasks/{uuid}", "get", "304") == {"ETag", "Link", "Preference-Applied"}
    assert headers(document, "/tasks/{uuid}", "delete", "204") == {"RateLimit", "RateLimit-Policy"}
    assert headers(document, "/tasks/{uuid}/files/{name}", "get", "302") == {"Location", "Retry-After"}
    assert "304" not in document["paths"]["/tasks"]["post"]["responses"]


def test_failures_carry_the_headers_of_their_classes(failures: Callable[[str, str], dict[str, Any]]) -> None:
    limited = failures("/tasks/{uuid}", "delete")["429"]["headers"]
    assert set(limited) == {"X-Request-Id", "Retry-After", "RateLimit", "RateLimit-Policy"}
    assert "WWW-Authenticate" in failures("/integrations/tasks", "post")["401"]["headers"]


def test_every_answer_carries_its_request_id(document: dict[str, Any]) -> None:
    shared = document["components"]["responses"]
    for operations in document["paths"].values():
        for operation in operations.values():
            for response in operation["responses"].values():
                told = shared[response["$ref"].rpartition("/")[2]] if "$ref" in response else response
                assert "X-Request-Id" in told["headers"]
    assert document["components"]["headers"]["X-Request-Id"]["required"] is True


def test_a_header_nobody_described_is_refused() -> None:
    app = Function("example")
    app.endpoint("GET", "/one", sends=["x-made-up"])(lambda: None)
    with pytest.raises(KeyError, match="x-made-up"):
        openapi.document([app], version="1")


def test_other_media_types_stand_beside_json(document: dict[str, Any]) -> None:
    content = document["paths"]["/tasks/{uuid}/files/{name}"]["get"]["responses"]["302"]["content"]
    assert content.keys() == {"application/json", "text/html"}


def links(document: Mapping[str, Any], path: str, method: str, status: str) -> dict[str, Any]:
    found: dict[str, Any] = document["paths"][path][method]["responses"][status].get("links", {})
    return found


def test_what_was_made_links_to_what_can_be_done_with_it(document: dict[str, Any]) -> None:
    by_uuid = {"path.uuid": "$response.body#/request_uuid"}
    assert links(document, "/tasks", "post", "201") == {
        name: {"operationId": name, "parameters": by_uuid} for name in ("read_task", "read_task_get", "read_task_files")
    }
    assert links(document, "/integrations/tasks", "post", "201") == {}, "another audience"
    assert links(document, "/tasks/{uuid}", "get", "200") == {}, "nothing is made"


def test_a_token_links_to_where_it_is_taken(document: dict[str, Any]) -> None:
    token = "$response.body#/refresh_token"
    assert links(document, "/sign-in", "post", "200") == {
        "renew": {"operationId": "renew", "parameters": {"header.refresh-token": token}},
        "renew_post": {"operationId": "renew_post", "requestBody": {"refresh_token": token}},
    }


def test_every_example_fits_its_schema(document: dict[str, Any]) -> None:
    assert examples.mismatches(document) == []


def test_who_may_call_is_said(document: dict[str, Any], post: dict[str, Any]) -> None:
    assert post["security"] == [{"accessToken": []}, {"bearer": []}]
    assert document["paths"]["/integrations/tasks"]["post"]["security"] == [{"apiKey": []}]
    assert document["paths"]["/tasks/{uuid}"]["get"]["security"] == []
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


def test_a_field_with_a_pattern_needs_an_example() -> None:
    app = Function("example")
    fields: Any = {"colour": (Annotated[str, Field(pattern="^#")], ...)}
    app.endpoint("POST", "/one", body=create_model("Painted", **fields))(lambda: None)
    with pytest.raises(NoExample, match=r"Painted\.colour"):
        openapi.document([app], version="1")


def test_the_catalogue_has_each_code_once_with_what_its_class_says() -> None:
    found = {entry["code"]: entry for entry in openapi.catalogue([create, read])}
    assert list(found) == sorted(found)
    assert found["NOT_AN_IMAGE"] == {
        "code": "NOT_AN_IMAGE",
        "type": "/problems/not-an-image",
        "title": "Only image files are accepted",
        "status": 415,
        "retryable": False,
        "description": "It cannot be decoded.",
        "operations": ["create_task"],
    }
    assert found["BUSY"]["retryable"] is True
    assert {"NOT_FOUND", "METHOD_NOT_ALLOWED", "INTERNAL_ERROR"} <= found.keys()


def test_a_code_means_one_status() -> None:
    app = Function("example")
    other = type("Other", (Problem,), {"status": 409, "code": "BUSY", "title": "Busy"})
    app.endpoint("GET", "/one", raises=[Busy, other])(lambda: None)
    with pytest.raises(ValueError, match="BUSY has several statuses"):
        openapi.catalogue([app])
