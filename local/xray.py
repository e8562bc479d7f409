"""AWS's trace header and W3C's trace context: the same ids, written differently."""

import re
import secrets
import time

_ROOT = re.compile(r"\bRoot=1-([0-9a-f]{8})-([0-9a-f]{24})\b")
_PARENT = re.compile(r"\bParent=([0-9a-f]{16})\b")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}")


def ids(header: str) -> tuple[str | None, str | None]:
    """Trace id and parent of an X-Amzn-Trace-Id, where it has them."""
    root, parent = _ROOT.search(header), _PARENT.search(header)
    return root and root[1] + root[2], parent and parent[1]


def header(trace_id: str, parent_id: str) -> str:
    return f"Root=1-{trace_id[:8]}-{trace_id[8:]};Parent={parent_id};Sampled=1"


def of_traceparent(text: object) -> str | None:
    """The header for what a `traceparent` came with; None for anything else."""
    match = _TRACEPARENT.fullmatch(text) if isinstance(text, str) else None
    return header(match[1], match[2]) if match else None


def new_trace_id() -> str:
    """32 hex digits; the first eight are the time, as X-Ray wants it."""
    return f"{int(time.time()):08x}{secrets.token_hex(12)}"


def new_header() -> str:
    """Of a new trace: what AWS puts on a request that comes without one."""
    trace_id = new_trace_id()
    return f"Root=1-{trace_id[:8]}-{trace_id[8:]}"
