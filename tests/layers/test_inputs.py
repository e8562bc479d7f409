"""What a client sends is what a view gets, or a 4xx that says why and repeats nothing."""

import json
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, JsonValue, SecretStr

from facet import inputs
from facet.function import Function
from facet.http import UploadedFile
from tests.layers.shapes import Reply, call, form

pytestmark = pytest.mark.usefixtures("bare_environment")

JSON = {"content-type": "application/json"}


class Person(BaseModel):
    name: Annotated[str, Field(min_length=1, max_length=20)]
    password: Annotated[SecretStr, Field(min_length=8)] = SecretStr("unset unset")
    extra: JsonValue = None


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str


class Photo(BaseModel):
    task_source_file: UploadedFile
    title: str = "untitled"
    tags: list[str] = []


class Page(BaseModel):
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    status: list[str] = []
    last: str | None = None


class Asked(BaseModel):
    refresh_token: str = Field(alias="refresh-token")


class Upload(BaseModel):
    upload_id: int


app = Function("example")
seen: dict[str, Any] = {}


@app.endpoint("POST", "/people", body=Person, kept=True)
@app.endpoint("POST", "/added/people", body=Person)
def people(body: Person) -> None:
    seen["body"] = body


@app.endpoint("POST", "/strict", body=Strict)
def strict(body: Strict) -> None:
    seen["body"] = body


@app.endpoint("POST", "/photos", form=Photo, kept=True)
def photos(form: Photo) -> None:
    seen["form"] = form


@app.endpoint("POST", "/tasks", form=Photo, body=Upload, kept=True)
def tasks(form: Photo | None, body: Upload | None) -> None:
    seen.update(form=form, body=body)


@app.endpoint("GET", "/pages", query=Page, headers=Asked, kept=True)
def pages(query: Page, headers: Asked) -> None:
    seen.update(query=query, headers=headers)


def post(path: str, body: bytes, headers: dict[str, str] | None = None) -> Reply:
    seen.clear()
    return call(app, "POST", path, headers=JSON if headers is None else headers, body=body)


def faults(reply: Reply, status: int = 422) -> list[dict[str, Any]]:
    assert reply.status == status, reply
    listed: list[dict[str, Any]] = reply.json["detail"]
    assert all(fault.keys() == {"type", "loc", "msg"} for fault in listed)
    return listed


# ---- JSON


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=utf-8", "application/x+json", None]
)
def test_a_json_body_reaches_the_view_as_its_model(content_type: str | None) -> None:
    reply = post("/people", '{"name": "Zoë"}'.encode(), {"content-type": content_type} if content_type else {})
    assert reply.status == 200
    assert seen["body"].name == "Zoë"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"name": "x"} trailing',
        b"{'name': 'x'}",
        b'{"name": NaN}',
        b'{"name": Infinity}',
        b'{"name": "a", "name": "b"}',
        b'{"name": "\xff\xfe"}',
        b"\xef\xbb\xbf{}",
        '{"name": "x"}'.encode("utf-16"),
        b'{"name": "\x00"}',
        b"[" * 60_000,
        b'{"extra": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_no_json_is_refused_as_such(body: bytes) -> None:
    [fault] = faults(post("/people", body))
    assert fault["type"] == "json_invalid"
    assert fault["loc"][0] == "body"


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b'{"name": "a\\u0000b"}', ["name"]),
        (b'{"name": "\\ud800"}', ["name"]),
        (b'{"name": "x", "extra": {"\\udfff": 1}}', ["extra"]),
        (b'{"name": "x", "extra": {"a": [1, "\\u0000"]}}', ["extra", "a", 1]),
        (b'{"name": "x", "extra": 1e999}', ["extra"]),
        (b'{"name": "x", "extra": ' + b"[" * 40 + b"]" * 40 + b"}", ["extra"]),
    ],
)
def test_what_could_not_be_stored_is_refused_before_any_model_sees_it(body: bytes, where: list[str | int]) -> None:
    [fault] = faults(post("/people", body))
    assert fault["type"] == "value_invalid"
    assert fault["loc"] == ["body", *where]


def test_a_character_beyond_the_basic_plane_is_no_lone_surrogate() -> None:
    assert post("/people", b'{"name": "\\ud83d\\ude00"}').status == 200
    assert seen["body"].name == "😀"


@pytest.mark.parametrize("body", [b"", b"  ", b"null"])
def test_a_missing_body_is_a_missing_field(body: bytes) -> None:
    assert faults(post("/people", body)) == [{"type": "missing", "loc": ["body"], "msg": "Field required"}]


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"7", b"true"])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    [fault] = faults(post("/people", body))
    assert (fault["type"], fault["loc"]) == ("model_attributes_type", ["body"])
    assert "Person" not in fault["msg"]


def test_every_wrong_field_is_named_and_no_value_repeated() -> None:
    reply = post("/people", b'{"name": 7, "password": "s3cret"}')
    assert [(fault["type"], fault["loc"]) for fault in faults(reply)] == [
        ("string_type", ["body", "name"]),
        ("too_short", ["body", "password"]),
    ]
    assert b"s3cret" not in reply.body


def test_a_flood_of_faults_is_cut() -> None:
    many = {f"{'x' * 200}{n}": 0 for n in range(200)}
    reply = post("/strict", json.dumps({"name": "x", **many}).encode())
    assert len(reply.json["errors"]) == 50
    assert all(len(fault["loc"][1]) <= 100 for fault in reply.json["errors"])


def test_a_json_body_has_a_limit() -> None:
    fits = b'{"name": "x", "extra": "' + b"y" * (inputs.MAX_JSON - 26) + b'"}'
    assert len(fits) == inputs.MAX_JSON
    assert post("/people", fits).status == 200
    reply = post("/people", fits + b" ")
    assert reply.status == 413
    assert "64 KB" in reply.json["detail"]


def test_another_content_type_is_a_422_on_a_kept_route_and_a_415_on_an_added_one() -> None:
    text = {"content-type": "text/plain"}
    [fault] = faults(post("/people", b'{"name": "x"}', text))
    assert fault["type"] == "json_invalid"
    assert post("/added/people", b'{"name": "x"}', text).json["code"] == "UNSUPPORTED_MEDIA_TYPE"


@given(st.binary(max_size=200))
def test_no_bytes_make_a_server_error(body: bytes) -> None:
    assert post("/people", body).status in (200, 422)


@given(st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(), lambda inner: st.lists(inner)))
def test_any_json_value_is_taken_whole_or_refused(value: Any) -> None:
    reply = post("/people", json.dumps({"name": "x", "extra": value}).encode())
    assert reply.status in (200, 422)
    if reply.status == 200:
        assert seen["body"].extra == value


# ---- forms


def test_a_file_reaches_the_view_with_what_the_client_calls_it() -> None:
    head = 'name="task_source_file"; filename="me.jpg"\r\nContent-Type: image/jpeg'
    headers, body = form((head, b"\xff\xd8\r\n--front"), ('name="title"', "Zoë".encode()), ('name="tags"', b"a"))
    assert post("/photos", body, headers).status == 200
    assert seen["form"].task_source_file == UploadedFile("me.jpg", "image/jpeg", b"\xff\xd8\r\n--front")
    assert (seen["form"].title, seen["form"].tags) == ("Zoë", ["a"])


def test_a_repeated_field_is_a_list_where_the_model_has_one() -> None:
    headers, body = form(
        ('name="task_source_file"; filename="a"', b"x"),
        ('name="tags"', b"a"),
        ('name="tags"', b"b"),
        ('name="title"', b"first"),
        ('name="title"', b"last"),
    )
    assert post("/photos", body, headers).status == 200
    assert (seen["form"].tags, seen["form"].title) == (["a", "b"], "last")


MISSING = [{"type": "missing", "loc": ["body", "task_source_file"], "msg": "Field required"}]


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b""),
        ({"content-type": "text/plain"}, b"hello"),
        ({"content-type": "application/x-www-form-urlencoded"}, b"task_source_file=x"),
        form(),
        form(('name="photo"; filename="a"', b"x")),
        form(('name="task_source_file"; filename=""', b"")),
    ],
    ids=["nothing", "text", "urlencoded", "empty form", "other field", "empty file input"],
)
def test_a_form_without_its_file_misses_it(headers: dict[str, str], body: bytes) -> None:
    assert faults(post("/photos", body, headers)) == MISSING


def test_an_empty_file_with_a_name_is_a_file() -> None:
    headers, body = form(('name="task_source_file"; filename="a"', b""))
    assert post("/photos", body, headers).status == 200
    assert seen["form"].task_source_file.data == b""


def test_text_where_a_file_belongs_is_refused() -> None:
    headers, body = form(('name="task_source_file"', b"text"))
    [fault] = faults(post("/photos", body, headers))
    assert (fault["type"], fault["loc"]) == ("file_expected", ["body", "task_source_file"])


FILE = ('name="task_source_file"; filename="a"', b"x")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"content-type": "multipart/form-data"}, b"--x"),
        ({"content-type": "multipart/form-data; boundary="}, b"--x"),
        ({"content-type": "multipart/form-data; boundary=x"}, b""),
        ({"content-type": "multipart/form-data; boundary=x"}, b"no boundary at all"),
        (form(FILE)[0], form(FILE)[1][:-8]),
        ({"content-type": "multipart/form-data; boundary=x"}, b"--x\r\n\r\nno disposition\r\n--x--"),
        form(FILE, ('name="title"', b"\xff\xfe")),
    ],
)
def test_a_broken_form_is_a_400(headers: dict[str, str], body: bytes) -> None:
    reply = post("/photos", body, headers)
    assert reply.status == 400
    assert reply.json.keys() == {"detail"}


def test_only_one_file_is_taken() -> None:
    headers, body = form(FILE, ('name="other"; filename="b"', b"y"))
    [fault] = faults(post("/photos", body, headers))
    assert (fault["type"], fault["loc"]) == ("too_many_files", ["body", "other"])


def test_nul_in_a_field_or_a_file_name_is_refused() -> None:
    for part in (('name="title"', b"a\0b"), ('name="task_source_file"; filename="a\0"', b"x")):
        headers, body = form(*([FILE, part] if part[0] == 'name="title"' else [part]))
        assert faults(post("/photos", body, headers))[0]["type"] == "value_invalid"


@pytest.mark.parametrize(
    "parts",
    [
        [(FILE[0], bytes(inputs.MAX_FILE + 1))],
        [(FILE[0], bytes(inputs.MAX_FILE + inputs.MAX_PARTS * inputs.MAX_FIELD + 1))],
        [FILE, ('name="title"', b"x" * (inputs.MAX_FIELD + 1))],
        [FILE, *[('name="tags"', b"x")] * inputs.MAX_PARTS],
        [(f'name="task_source_file"; filename="{"x" * 5000}"', b"x")],
    ],
    ids=["file", "form", "field", "parts", "part header"],
)
def test_forms_have_limits(parts: list[tuple[str, bytes]]) -> None:
    headers, body = form(*parts)
    reply = post("/photos", body, headers)
    assert reply.status == 413


def test_a_file_of_the_limit_is_taken() -> None:
    headers, body = form((FILE[0], bytes(inputs.MAX_FILE)))
    assert post("/photos", body, headers).status == 200


@given(st.binary(max_size=200))
def test_no_form_bytes_make_a_server_error(body: bytes) -> None:
    assert post("/photos", body, {"content-type": "multipart/form-data; boundary=x"}).status in (400, 413, 422)


# ---- either


def test_where_a_path_takes_both_the_content_type_decides() -> None:
    headers, body = form(FILE)
    assert post("/tasks", body, headers).status == 200
    assert seen == {"form": Photo(task_source_file=UploadedFile("a", None, b"x")), "body": None}
    assert post("/tasks", b'{"upload_id": 7}').status == 200
    assert seen == {"form": None, "body": Upload(upload_id=7)}


def test_where_a_path_takes_both_the_old_client_that_sends_neither_misses_the_file() -> None:
    assert faults(post("/tasks", b"", {})) == MISSING


# ---- query and headers


def get(query: list[tuple[str, str]], **headers: str) -> Reply:
    seen.clear()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return call(app, "GET", "/pages", query=query, headers=named)


def test_parameters_are_converted_and_only_lists_take_repeated_ones_whole() -> None:
    query = [("limit", "5"), ("limit", "7"), ("status", "a"), ("status", "b"), ("last", ""), ("unknown", "x")]
    assert get(query, Refresh_Token="t").status == 200
    assert seen["query"] == Page(limit=7, status=["a", "b"], last="")
    assert seen["headers"].refresh_token == "t"


def test_a_single_value_for_a_list_is_a_list_of_one() -> None:
    assert get([("status", "a")], refresh_token="t").status == 200
    assert seen["query"].status == ["a"]


def test_bad_parameters_are_named() -> None:
    [fault] = faults(get([("limit", "many")], refresh_token="t"))
    assert (fault["type"], fault["loc"]) == ("int_parsing", ["query", "limit"])
    [fault] = faults(get([("last", "a\0b")], refresh_token="t"))
    assert (fault["type"], fault["loc"]) == ("value_invalid", ["query", "last"])


def test_a_missing_header_is_named_as_the_client_spells_it() -> None:
    assert faults(get([])) == [{"type": "missing", "loc": ["header", "refresh-token"], "msg": "Field required"}]
