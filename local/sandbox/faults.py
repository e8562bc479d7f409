"""The errors that Lambda itself answers with when a sandbox cannot: timeout, crash."""

import json
import signal

from local.sandbox.launcher import Exit


def timed_out(request_id: str, seconds: float) -> bytes:
    return _fault("Sandbox.Timedout", f"RequestId: {request_id} Error: Task timed out after {seconds:.2f} seconds")


def crashed(request_id: str, ended: Exit) -> bytes:
    return _fault("Runtime.ExitError", f"RequestId: {request_id} Error: {_cause(ended)}")


def error_type(payload: bytes) -> str:
    """The `errorType` of an error object; empty when a handler has forged something else."""
    try:
        return str(json.loads(payload)["errorType"])
    except (LookupError, TypeError, ValueError):
        return ""


def _cause(ended: Exit) -> str:
    if ended.code is None:
        return "Runtime exited with error: signal: killed"
    if ended.code == 0:
        return "Runtime exited without providing a reason"
    if ended.code > 0:
        return f"Runtime exited with error: exit status {ended.code}"
    name = signal.strsignal(-ended.code) or f"signal {-ended.code}"
    return f"Runtime exited with error: signal: {name.lower()}"


def _fault(kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()
