"""What the edge refuses, so that AWS's clients raise the class they would raise in the cloud."""

import json
from http import HTTPStatus
from typing import Any
from xml.sax.saxutils import escape

from local.events.response import HttpResponse


class AwsError(Exception):
    """`kind` is the name of the error in the service's model."""

    def __init__(self, status: int, kind: str, message: str, *, retry_after: int | None = None, **details: Any) -> None:
        self.status, self.kind, self.message = status, kind, message
        self.retry_after, self.details = retry_after, details
        super().__init__(message)

    def response(self, *, xml: bool = False) -> HttpResponse:
        """As JSON, or as the XML of the services that are called with forms."""
        fault = "User" if self.status < HTTPStatus.INTERNAL_SERVER_ERROR else "Service"
        headers = [("content-type", "text/xml" if xml else "application/json"), ("x-amzn-errortype", self.kind)]
        if self.retry_after:
            headers.append(("retry-after", str(self.retry_after)))
        if xml:
            error = f"<Code>{self.kind}</Code><Message>{escape(self.message)}</Message>"
            return HttpResponse(
                self.status, tuple(headers), (), f"<ErrorResponse><Error>{error}</Error></ErrorResponse>".encode()
            )
        body = {"Type": fault, "Message": self.message, "message": self.message, "__type": self.kind, **self.details}
        return HttpResponse(self.status, tuple(headers), (), json.dumps(body).encode())
