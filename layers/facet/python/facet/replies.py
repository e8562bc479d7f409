"""Answers in Chalice's form, whose bytes are binary and whose text is text, whatever the content type."""

from collections.abc import Mapping
from typing import Any

from chalice.app import Response as ChaliceResponse

from facet.http import Response
from facet.problems import Problem


class Reply(ChaliceResponse):
    """A Chalice answer that keeps its bytes: Chalice would decide by content type what is binary."""

    @classmethod
    def of(cls, response: Response) -> "Reply":
        """The same answer; a header that is sent several times has a list."""
        values: dict[str, list[str]] = {}
        for name, value in response.fields:
            values.setdefault(name, []).append(value)
        headers = {name: many[0] if len(many) == 1 else many for name, many in values.items()}
        return cls(response.body, headers, response.status)

    def to_dict(self, binary_types: list[str] | None = None) -> dict[str, Any]:
        return super().to_dict(None)


def response_from(reply: Mapping[str, Any]) -> Response:
    """The Response in the REST (1.0) answer that Chalice makes of a Reply. Raises Problem for another one."""
    if reply.get("isBase64Encoded"):  # no Reply: a middleware failed, which Chalice has logged
        raise Problem()
    headers = list(reply["headers"].items())
    headers += [(name, value) for name, values in reply["multiValueHeaders"].items() for value in values]
    cookies = [value for name, value in headers if name.lower() == "set-cookie"]
    others = [(name, value) for name, value in headers if name.lower() != "set-cookie"]
    return Response(reply["statusCode"], reply["body"], others, cookies)
