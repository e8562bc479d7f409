"""Metadata: what clients may write on a task."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from avatars.metadata import FormMetadata, Metadata


class Body(BaseModel):
    metadata: Metadata = {}


class Form(BaseModel):
    metadata: FormMetadata = {}


def fault(model: type[BaseModel], given: object) -> str:
    with pytest.raises(ValidationError) as refused:
        model.model_validate({"metadata": given})
    [error] = refused.value.errors()
    assert error["loc"] == ("metadata",)
    return error["msg"]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"text": "Grüße ☃", "whole": 3, "broken": -2.5, "yes": True, "nothing": None},
        {"k" * 40: ""},
        {str(number): number for number in range(16)},
        {"huge": 10**300},
    ],
)
def test_strings_numbers_booleans_and_null_are_kept_as_they_are(given: dict[str, Any]) -> None:
    kept = Body.model_validate({"metadata": given}).metadata
    assert [(key, type(value), value) for key, value in kept.items()] == [
        (key, type(value), value) for key, value in given.items()
    ]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "JSON object"),
        ([], "JSON object"),
        ("text", "JSON object"),
        ({str(number): number for number in range(17)}, "at most 16 keys"),
        ({"": 1}, "1 to 40 characters"),
        ({"k" * 41: 1}, "1 to 40 characters"),
        ({"list": []}, "a string, a finite number"),
        ({"nested": {}}, "a string, a finite number"),
        ({"endless": float("inf")}, "a string, a finite number"),
        ({"zero\0": 1}, "NUL"),
        ({"zero": "\0"}, "NUL"),
        ({"half": "\ud800"}, "surrogates"),
        ({"digits": 10**5000}, "too many digits"),
        ({"long": "x" * 4096}, "at most 4096 bytes"),
        ({"wide": "☃" * 1400}, "at most 4096 bytes"),
    ],
)
def test_anything_else_is_refused_in_one_sentence(given: object, words: str) -> None:
    assert words in fault(Body, given)


def test_what_just_fits_is_kept() -> None:
    assert Body.model_validate({"metadata": {"k": "x" * (4096 - len('{"k":""}'))}}).metadata


def test_a_form_field_carries_it_as_text() -> None:
    assert Form.model_validate({"metadata": '{"kiosk": 3, "name": "\\u2603"}'}).metadata == {"kiosk": 3, "name": "☃"}


@pytest.mark.parametrize("text", ["", "{", "nonsense", '{"n": NaN}', "[" * 100_000, "1" * 5000])
def test_a_form_field_that_is_no_json_is_refused(text: str) -> None:
    assert fault(Form, text) == "Metadata is not valid JSON"


@pytest.mark.parametrize(
    ("text", "words"), [("[]", "JSON object"), ('{"a":1,"a":2}', "repeated"), ('{"zero":"\\u0000"}', "NUL")]
)
def test_a_form_field_is_checked_like_json(text: str, words: str) -> None:
    assert words in fault(Form, text)
