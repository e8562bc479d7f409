"""The program inside a sandbox: import one handler, then serve one event at a time until the invoker is gone."""

import contextlib
import fcntl
import functools
import io
import itertools
import json
import os
import socket
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.sandbox import walls
from local.sandbox.context import LambdaContext, RequestIds, set_up_logging
from local.sandbox.frames import BEGUN, ERROR, FAILED, LISTENING, READY, RESULT, SPANS, Wire
from local.sandbox.handler import Fault, Handler, load_handler
from local.sandbox.imports import Project
from local.sandbox.marshalling import marshalled, unmarshalled
from local.sandbox.orphan import end_with_parent
from local.sandbox.usage import Memory, cpu_ms

_HIGH_DESCRIPTOR = 200  # out of the way of handlers that close the first few
_HERE = str(Path(__file__).parent)
_MESSAGE_LIMIT = 512 * 1024


@functools.cache
def own_modules() -> list[str]:
    """Modules that handlers shall not see. Found once, before the fork: to touch all names would copy their pages."""
    return [name for name in sys.modules if name.partition(".")[0] == "local"]


def serve(channel: int) -> None:
    """Serve the invoker on this socket. Never returns."""
    status, wire = 1, Wire(_moved(channel))  # open to the very end: the invoker takes its closing for a crash
    try:
        status = _serve(wire)
    except SystemExit as exc:
        status = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _serve(wire: Wire) -> int:
    start = wire.receive()
    if start is None:
        return 0
    init = start.header
    spans = _spans(init)
    _enter(init)
    project, memory = Project(init["roots"]), Memory()

    def learnt() -> dict[str, Any]:
        return {"max_memory_kb": memory.peak_kb(), "files": project.news()}

    try:
        _prepare(wire, debug_port=init["debug_port"], frozen_at=init["frozen_at"])
        with project.timed() as imports:
            handler = load_handler(init["handler"], init["module"], Path(init["code"]))
    except Exception as exc:  # whatever a handler's import raises is the function's own error
        wire.send(FAILED, learnt(), _encoded(_failure(exc, "")))
        return 1
    wire.send(READY, {**learnt(), "imports": imports})
    process = os.getpid()
    while (frame := wire.receive()) is not None:
        wire.send(BEGUN, {"began": time.time(), "cpu_ms": cpu_ms()})
        if spans:
            spans.begin(frame.header)
        kind, body = handle(handler, frame.header, frame.body, init)
        if os.getpid() != process:  # the handler forked and its child came back here
            return 0
        calls = spans.finish(body if kind == ERROR else None) if spans else {}
        wire.send(kind, {**learnt(), "cpu_ms": cpu_ms(), "calls": calls}, body)
        if spans:
            wire.send(SPANS, {}, spans.taken())
        if not _can_print():  # the next event deserves an environment with streams
            return 0
    return 0


def _can_print() -> bool:
    try:
        os.fstat(1)
        os.fstat(2)
    except OSError:
        return False
    return not any(getattr(stream, "closed", False) for stream in (sys.stdout, sys.stderr))


def _spans(init: Mapping[str, Any]) -> Any:
    """What traces the handler, if it is to be traced. Before `_enter`: then nothing of ours can be imported."""
    if not init["tracing"]:
        return None
    from local.sandbox import spans  # OpenTelemetry's SDK

    return spans.start(init["environment"])


def _prepare(wire: Wire, *, debug_port: int | None, frozen_at: float | None) -> None:
    """What has to be there before the handler is imported, and costs nothing where it is not asked for."""
    if debug_port is not None:
        import debugpy

        try:
            debugpy.listen(("127.0.0.1", debug_port))
        except RuntimeError as exc:  # its text ends with the system's
            raise Fault("Runtime.DebuggerError", f"No debugger can listen on port {debug_port}: {exc}") from exc
        wire.send(LISTENING, {})
        debugpy.wait_for_client()
    if frozen_at is not None:
        import time_machine

        time_machine.travel(frozen_at, tick=False).start()


def _enter(init: Mapping[str, Any]) -> None:
    """Become the function's environment: its variables, paths, folder and streams, and nothing of the parent's."""
    own = os.environ.get("PYTHONPATH")  # from its launcher
    os.environ.clear()
    os.environ.update(init["environment"])
    time.tzset()
    walls.enter(shared=init["roots"], **init["tmp"])
    os.chdir(init["code"])
    sys.path[:] = [init["code"], *init["layers"], *(path for path in sys.path if path not in ("", own))]
    for name in own_modules():
        sys.modules.pop(name, None)
    sys.stdout, sys.stderr = _stream(1), _stream(2)
    sys.argv = [init["handler"]]
    set_up_logging()


def _stream(descriptor: int) -> io.TextIOWrapper:
    """Unbuffered, so that nothing is lost when a handler ends its process."""
    raw: Any = io.FileIO(descriptor, "wb", closefd=False)
    return io.TextIOWrapper(raw, "utf-8", errors="backslashreplace", write_through=True)


def handle(handler: Handler, header: Mapping[str, Any], event: bytes, init: Mapping[str, Any]) -> tuple[bytes, bytes]:
    request_id = RequestIds.current = header["request_id"]
    os.environ["_X_AMZN_TRACE_ID"] = header["trace"]
    try:
        context = LambdaContext(request_id, header["deadline_ms"], init["arn"], header.get("client_context"))
        result = marshalled(handler(unmarshalled(event), context))
    except Exception as exc:  # a handler may raise anything: it becomes the invocation's error
        return ERROR, _encoded(_failure(exc, request_id))
    body = result if isinstance(result, bytes) else result.encode()
    if len(body) > init["response_limit"]:
        return ERROR, _encoded(too_large(init["response_limit"]))
    return RESULT, body


def _failure(exc: Exception, request_id: str) -> dict[str, Any]:
    """Lambda's error object; also printed, so that the log has it."""
    if isinstance(exc, Fault):
        kind, message, trace = exc.kind, exc.message, exc.trace
    else:
        frames = list(itertools.dropwhile(_is_ours, traceback.extract_tb(exc.__traceback__)))
        # As places alone, AWS's traces have no marks below the lines.
        places = [(frame.filename, frame.lineno or 0, frame.name, frame.line) for frame in frames]
        kind, message, trace = type(exc).__name__, str(exc)[:_MESSAGE_LIMIT], traceback.format_list(places)
    lines = [f"[ERROR] {kind}: {message}", *(["Traceback (most recent call last):"] if trace else []), *trace]
    with contextlib.suppress(OSError, ValueError):  # the handler may have closed its streams
        print("\n".join(line.rstrip("\n") for line in lines))
    return {"errorMessage": message, "errorType": kind, "requestId": request_id, "stackTrace": trace}


def _is_ours(frame: traceback.FrameSummary) -> bool:
    return frame.filename.startswith((_HERE, "<frozen importlib"))


def too_large(limit: int) -> dict[str, Any]:
    message = f"Response payload size exceeded maximum allowed payload size ({limit} bytes)."
    return {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": message}


def _encoded(error: Mapping[str, Any]) -> bytes:
    return json.dumps(error).encode()


def _moved(channel: int) -> socket.socket:
    high = fcntl.fcntl(channel, fcntl.F_DUPFD_CLOEXEC, _HIGH_DESCRIPTOR)
    os.close(channel)
    return socket.socket(fileno=high)


def main() -> None:
    """`python -m local.sandbox.bootstrap CHANNEL PARENT`: a sandbox in a fresh interpreter."""
    end_with_parent(int(sys.argv[2]))
    serve(int(sys.argv[1]))


if __name__ == "__main__":
    main()
