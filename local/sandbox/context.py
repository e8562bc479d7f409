"""The second argument of a handler, and the logging a Lambda environment sets up before any handler runs."""

import json
import logging
import os
import sys
import time
from types import SimpleNamespace
from typing import Any


class _Facts(SimpleNamespace):
    """Prints as AWS's classes do."""

    def __repr__(self) -> str:
        shown = ",".join(f"{name}={value}" for name, value in vars(self).items() if not name.startswith("_"))
        return f"{type(self).__name__}([{shown}])"


class CognitoIdentity(_Facts):
    """Nobody signs in with Cognito here."""


class Client(_Facts):
    """The device of a mobile SDK."""


class ClientContext(_Facts):
    """What the caller sent beside the event."""


class LambdaContext(_Facts):
    """Invocation facts, under the names of AWS's runtime."""

    def __init__(self, request_id: str, deadline_ms: int, arn: str, client_context: str | None) -> None:
        given = json.loads(client_context) if client_context else None
        traced = given.pop("w3c", None) if isinstance(given, dict) else None
        self._deadline_ms, self._traced = deadline_ms, traced if isinstance(traced, dict) else {}
        self.aws_request_id = request_id
        self.log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = arn
        self.client_context = None if given is None else _client_context(given)
        self.identity = CognitoIdentity(cognito_identity_id=None, cognito_identity_pool_id=None)
        self.tenant_id = None

    def get_remaining_time_in_millis(self) -> int:
        return max(0, self._deadline_ms - int(time.time() * 1000))

    def w3c(self) -> dict[str, str]:
        """The caller's trace context."""
        found = ((name, self._traced.get(name)) for name in ("traceparent", "tracestate", "baggage"))
        return {name: value for name, value in found if isinstance(value, str)}

    def log(self, message: object) -> None:
        sys.stdout.write(str(message))


def _client_context(given: Any) -> Any:
    """The caller's JSON with the attributes that a mobile SDK sends; what it left out is None."""
    parts = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")
    client = given.get("client")
    client = client if client is None else Client(**{part: client.get(part) for part in parts})
    return ClientContext(custom=given.get("custom"), env=given.get("env"), client=client)


class RequestIds(logging.Filter):
    """Gives every log record the id of the invocation it belongs to."""

    current = ""

    def filter(self, record: logging.LogRecord) -> bool:
        record.aws_request_id = RequestIds.current
        return True


def set_up_logging() -> None:
    """Lambda's handler on the root logger: level, time and request id between tabs."""
    handler = logging.StreamHandler(sys.stdout)
    formatter = logging.Formatter(
        "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    handler.addFilter(RequestIds())
    logging.getLogger().addHandler(handler)
