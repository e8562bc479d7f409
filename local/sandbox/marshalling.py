"""Events to values and results to bytes, with the encoder of AWS's runtime: the same JSON, the same refusals."""

import decimal
import math
import sys
from typing import Any

import simplejson  # type: ignore[import-untyped] # ships no py.typed

from local.sandbox.handler import Fault


def _plain(value: Any) -> Any:
    if isinstance(value, decimal.Decimal):
        return math.nan if value.is_nan() else simplejson.RawJSON(str(value))
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


# Since Python 3.12, AWS's leaves letters beyond ASCII as they are.
_ENCODER = simplejson.JSONEncoder(
    use_decimal=False, ensure_ascii=sys.version_info < (3, 12), allow_nan=True, default=_plain
)


def unmarshalled(event: bytes) -> Any:
    """Raises Fault."""
    try:
        return simplejson.loads(event)
    except Exception as exc:  # also of what is too deep
        raise Fault("Runtime.UnmarshalError", f"Unable to unmarshal input: {exc}") from exc


def marshalled(result: Any) -> str | bytes:
    """Raises Fault."""
    if isinstance(result, bytes):
        return result
    try:
        return str(_ENCODER.encode(result))
    except Exception as exc:  # also what an object's own methods raise while it is encoded
        raise Fault("Runtime.MarshalError", f"Unable to marshal response: {exc}") from exc
