"""FilterCriteria decide as Lambda's documentation of event filtering says."""

import json
from pathlib import Path
from typing import Any

import pytest

from local.template import TemplateError, load
from local.template.spec import QueueMapping
from local.triggers.filters import BadPattern, parse
from tests.local.emulator.lab import copy_sample

EVENT = {"status": "SUCCESS", "progress": 40, "ratio": 0.5, "none": None, "empty": "", "flag": True, "tags": ["a", "b"]}
EVENT["error"] = {"code": "NO_FACE", "parts": [{"name": "eye", "found": 1}, {"name": "ear", "found": 2}]}
EVENT["nothing"] = []


def matches(data: Any, body: bytes | None = None) -> bool:
    return parse(json.dumps({"data": data}))(json.dumps(EVENT).encode() if body is None else body)


@pytest.mark.parametrize(
    ("rule", "matching"),
    [
        ({"status": ["SUCCESS"]}, True),
        ({"status": ["FAILED", "SUCCESS"]}, True),
        ({"status": ["success"]}, False),
        ({"status": ["SUCCESS"], "progress": [41]}, False),
        ({"progress": [40]}, True),
        ({"progress": ["40"]}, False),
        ({"flag": [True]}, True),
        ({"flag": [1]}, False),
        ({"none": [None]}, True),
        ({"status": [None]}, False),
        ({"absent": [None]}, False),
        ({"empty": [""]}, True),
        ({"status": [""]}, False),
        ({"status": [{"prefix": "SUC"}]}, True),
        ({"status": [{"prefix": "ESS"}]}, False),
        ({"progress": [{"prefix": "4"}]}, False),
        ({"status": [{"suffix": "ESS"}]}, True),
        ({"status": [{"equals-ignore-case": "success"}]}, True),
        ({"status": [{"anything-but": "SUCCESS"}]}, False),
        ({"status": [{"anything-but": ["FAILED", "CANCELLED"]}]}, True),
        ({"status": [{"anything-but": {"prefix": "SUC"}}]}, False),
        ({"status": [{"anything-but": {"prefix": "FAIL"}}]}, True),
        ({"progress": [{"anything-but": [40]}]}, False),
        ({"absent": [{"anything-but": "SUCCESS"}]}, False),
        ({"progress": [{"numeric": ["=", 40.0]}]}, True),
        ({"progress": [{"numeric": [">", 0, "<=", 40]}]}, True),
        ({"progress": [{"numeric": [">", 0, "<", 40]}]}, False),
        ({"ratio": [{"numeric": [">=", 0.5]}]}, True),
        ({"status": [{"numeric": [">", 0]}]}, False),
        ({"flag": [{"numeric": ["=", 1]}]}, False),
        ({"status": [{"exists": True}]}, True),
        ({"none": [{"exists": True}]}, True),
        ({"absent": [{"exists": False}]}, True),
        ({"absent": [{"exists": True}]}, False),
        ({"error": [{"exists": True}]}, False),
        ({"nothing": [{"exists": True}]}, False),
        ({"gone": {"code": [{"exists": False}]}}, True),
        ({"tags": ["b"]}, True),
        ({"tags": [{"anything-but": "a"}]}, True),
        ({"error": {"code": ["NO_FACE"]}}, True),
        ({"status": {"code": ["NO_FACE"]}}, False),
        ({"error": {"parts": {"name": ["ear"], "found": [2]}}}, True),
        ({"error": {"parts": {"name": ["ear"], "found": [1]}}}, False),
        ({"$or": [{"status": ["FAILED"]}, {"progress": [{"numeric": [">", 30]}]}]}, True),
        ({"$or": [{"status": ["FAILED"]}, {"progress": [7]}], "flag": [True]}, False),
    ],
    ids=json.dumps,
)
def test_a_json_message_matches(rule: dict[str, Any], matching: bool) -> None:
    assert matches(rule) is matching


@pytest.mark.parametrize(
    ("data", "body", "matching"),
    [
        ([{"prefix": "Result: "}], b"Result: 7", True),
        ([{"prefix": "Result: "}], b"other", False),
        ([{"prefix": "{"}], b'{"a": 1}', False),
        ({"a": [{"exists": False}]}, b"plain", False),
        ([{"exists": True}], b"\xff\xfe", False),
        ([{"exists": True}], b"7", True),
    ],
)
def test_text_is_for_lists_and_json_for_objects(data: Any, body: bytes, matching: bool) -> None:
    assert matches(data, body) is matching


def test_alternatives_may_stand_at_the_top() -> None:
    either = parse('{"$or": [{"data": {"a": [1]}}, {"data": [{"prefix": "x"}]}]}')
    assert [either(body) for body in (b'{"a": 1}', b"xyz", b'{"a": 2}')] == [True, True, False]


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("{", "is no JSON"),
        ("[]", "the pattern has to be an object"),
        ("{}", "the pattern has to be an object"),
        ('{"data": "x"}', "data has to be an object, or a list"),
        ('{"data": {"a": 1}}', "data.a has to be an object, or a list"),
        ('{"data": {"a": []}}', "data.a has to be an object, or a list"),
        ('{"data": {"a": [{"sounds-like": "x"}]}}', 'data.a: {"sounds-like": "x"} is no rule'),
        ('{"data": {"a": [{"prefix": "x", "suffix": "y"}]}}', "has to be one operator"),
        ('{"data": {"a": [{"prefix": 1}]}}', "is no rule"),
        ('{"data": {"a": [{"anything-but": []}]}}', "is no rule"),
        ('{"data": {"a": [{"numeric": [">", "1"]}]}}', "is no comparison with numbers"),
        ('{"data": {"a": [{"numeric": [">"]}]}}', "is no rule"),
        ('{"data": {"$or": [{"a": [1]}, 5]}}', "data.$or has to be an object"),
        ('{"redelivered": [true]}', "redelivered: Amazon MQ filters `data` alone"),
    ],
)
def test_what_is_no_pattern_is_refused(pattern: str, reason: str) -> None:
    with pytest.raises(BadPattern) as refused:
        parse(pattern)
    assert reason in str(refused.value)


def mapping_with(criteria: str, folder: Path) -> QueueMapping:
    file = copy_sample(folder) / "template.yaml"
    wanted = "BatchSize: 3"
    file.write_text(file.read_text().replace(wanted, f"{wanted}\n            FilterCriteria: {criteria}"))
    return load(file, {"SECRET_KEY": "12345678"}).queues[0]


def test_a_template_names_its_filters(tmp_path: Path) -> None:
    mapping = mapping_with(
        """{ Filters: [{ Pattern: '{"data": {"a": [1]}}' }, { Pattern: '{"data": ["x"]}' }] }""", tmp_path
    )
    assert mapping.filters == ('{"data": {"a": [1]}}', '{"data": ["x"]}')


@pytest.mark.parametrize(
    ("criteria", "reason"),
    [
        ("""{ Filters: [{ Pattern: '{"data": 1}' }] }""", "FilterCriteria.Filters: '{\"data\": 1}': data has to be"),
        ("{ Filters: [{ Patern: x }] }", "FilterCriteria.Filters: expected a Pattern"),
    ],
)
def test_a_template_with_what_is_no_pattern_is_refused(criteria: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(TemplateError) as refused:
        mapping_with(criteria, tmp_path)
    assert reason in str(refused.value)
