"""As much of the Debug Adapter Protocol as an editor uses to stop at a line."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO


class Debugger:
    def __init__(self, wire: socket.socket, answers: BinaryIO) -> None:
        self._wire, self._answers = wire, answers
        self._sent = 0

    def attach(self, file: Path, line: int) -> None:
        self._ask("initialize", adapterID="facet", pathFormat="path", linesStartAt1=True)
        self._hear("response", "initialize")
        self._ask("attach", justMyCode=False)
        self._hear("event", "initialized")
        self._ask("setBreakpoints", source={"path": str(file)}, breakpoints=[{"line": line}])
        self._hear("response", "setBreakpoints")
        self._ask("configurationDone")
        self._hear("response", "configurationDone")

    def stopped_at(self) -> tuple[str, int]:
        """Function and line of the breakpoint."""
        stop = self._hear("event", "stopped")["body"]
        assert stop["reason"] == "breakpoint", stop
        self._ask("stackTrace", threadId=stop["threadId"], levels=1)
        frame = self._hear("response", "stackTrace")["body"]["stackFrames"][0]
        return frame["name"], frame["line"]

    def go_on(self) -> None:
        """Waits for no response: a sandbox of one call may be gone before it is sent."""
        self._ask("continue", threadId=0)

    def wait_for_end(self) -> None:
        while self._answers.read(1024):
            pass

    def _ask(self, command: str, **arguments: Any) -> None:
        self._sent += 1
        message = {"seq": self._sent, "type": "request", "command": command, "arguments": arguments}
        body = json.dumps(message).encode()
        self._wire.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    def _hear(self, kind: str, name: str) -> dict[str, Any]:
        """The next response to this command, or the next event of this name."""
        while True:
            length = 0
            while (line := self._answers.readline().strip()) or not length:
                assert line, "the debugger hung up"
                if line.lower().startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            message: dict[str, Any] = json.loads(self._answers.read(length))
            if message["type"] == kind and message.get("command", message.get("event")) == name:
                assert message.get("success", True), message
                return message


@contextmanager
def debugging(port: int) -> Iterator[Debugger]:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as wire, wire.makefile("rb") as answers:
        yield Debugger(wire, answers)
