"""Answers through Chalice and back: nothing is lost, whatever the content type says."""

import pytest

from facet.http import Response
from facet.problems import Problem
from facet.replies import Reply, response_from


@pytest.mark.parametrize(
    "response",
    [
        Response(204),
        Response(200, '{"a": "ü"}', [("content-type", "image/png")]),
        Response(200, b"\x00\xff", [("content-type", "application/json")]),
        Response(200, b"text", [("link", "<a>"), ("link", "<b>")], ["a=1; Path=/", "b=2"]),
        Response(302, "", [("location", "/ü")], ["a=1"]),
    ],
)
def test_an_answer_comes_back_from_chalice_as_it_was(response: Response) -> None:
    assert response_from(Reply.of(response).to_dict()) == response


def test_bytes_that_chalice_has_encoded_itself_are_no_answer_of_ours() -> None:
    with pytest.raises(Problem, match="Internal server error"):
        response_from(
            {"statusCode": 200, "headers": {}, "multiValueHeaders": {}, "body": "AA==", "isBase64Encoded": True}
        )
