"""What the edge refuses, so that AWS's clients raise the class they would raise in the cloud."""

from http import HTTPStatus
from typing import Any
from xml.sax.saxutils import escape

from local.events.response import HttpResponse
from local.gateway.replies import json_response, retry_after


class AwsError(Exception):
    """`kind` is the name of the error in the service's model."""

    def __init__(self, status: int, kind: str, message: str, *, retry_after: int | None = None, **details: Any) -> None:
        self.status, self.kind, self.message = status, kind, message
        self.retry_after, self.details = retry_after, details
        super().__init__(message)

    def response(self, *, xml: bool = False) -> HttpResponse:
        """As JSON, or as the XML of the services that are called with forms."""
        headers = (("x-amzn-errortype", self.kind), *(retry_after(self.retry_after) if self.retry_after else ()))
        if xml:
            error = f"<Code>{self.kind}</Code><Message>{escape(self.message)}</Message>"
            body = f"<ErrorResponse><Error>{error}</Error></ErrorResponse>"
            return HttpResponse(self.status, (("content-type", "text/xml"), *headers), (), body.encode())
        fault = "User" if self.status < HTTPStatus.INTERNAL_SERVER_ERROR else "Service"
        told = {"Type": fault, "Message": self.message, "message": self.message, "__type": self.kind, **self.details}
        return json_response(self.status, told, headers)
