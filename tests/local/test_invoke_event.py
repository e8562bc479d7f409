"""Which event `facet invoke NAME` makes where nobody says which."""

from pathlib import Path
from typing import Any

import pytest

from local.cloud import project
from local.verbs import invoke_event
from local.verbs.requests import CannotBuild

TEMPLATE = """
Resources:
  NotesFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: .
      Handler: app.handler
      Runtime: python3.13
      Events:
        List: { Type: HttpApi, Properties: { Path: /notes, Method: GET } }
        Create: { Type: HttpApi, Properties: { Path: /notes, Method: POST } }
        One: { Type: HttpApi, Properties: { Path: "/notes/{id}", Method: ANY } }
  ReportFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: .
      Handler: app.handler
      Runtime: python3.13
      Events:
        Get: { Type: Api, Properties: { Path: "/reports/{year}", Method: get } }
  TickFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: .
      Handler: app.handler
      Runtime: python3.13
      Events:
        Hourly: { Type: Schedule, Properties: { Schedule: rate(1 hour), Input: '{"job": "cleanup"}' } }
"""


def event(folder: Path, name: str, **options: Any) -> dict[str, Any]:
    (folder / "template.yaml").write_text(TEMPLATE)
    given = {
        "event_file": None,
        "body": None,
        "photo": None,
        "headers": (),
        "method": None,
        "path": None,
        "shape": None,
    }
    found: dict[str, Any] = invoke_event.build(project.find(folder / "template.yaml"), name, **(given | options))
    return found


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({}, "GET /notes"),
        ({"body": "{}"}, "POST /notes"),
        ({"body": "{}", "method": "get"}, "GET /notes"),
        ({"path": "/notes/7?full=1"}, "ANY /notes/{id}"),
    ],
)
def test_the_route_is_the_one_that_fits_what_is_sent(tmp_path: Path, options: dict[str, Any], key: str) -> None:
    assert event(tmp_path, "notes", **options)["routeKey"] == key


def test_the_parameters_of_the_path_are_in_the_event(tmp_path: Path) -> None:
    assert event(tmp_path, "notes", path="/notes/7")["pathParameters"] == {"id": "7"}


def test_a_function_of_a_rest_api_gets_the_event_of_one(tmp_path: Path) -> None:
    given = event(tmp_path, "report", path="/reports/2026")
    assert (given["resource"], given["pathParameters"]) == ("/reports/{year}", {"year": "2026"})


def test_another_shape_may_be_asked_for(tmp_path: Path) -> None:
    assert event(tmp_path, "report", path="/reports/2026", shape="furl")["version"] == "2.0"


def test_a_schedule_gives_its_input(tmp_path: Path) -> None:
    assert event(tmp_path, "tick") == {"job": "cleanup"}


def test_a_path_that_no_route_has_is_sent_all_the_same(tmp_path: Path) -> None:
    assert event(tmp_path, "notes", path="/elsewhere")["rawPath"] == "/elsewhere"


def test_a_method_that_no_route_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotBuild, match=r"GET /reports/\{year\}"):
        event(tmp_path, "report", method="PUT")
