"""A debugger as small as can be: attaches, stops at one line and goes on."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO


def stop_at(port: int, file: Path, line: int) -> str:
    """Attaches to debugpy and goes on from the line where the handler stops; why it stopped."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as wire, wire.makefile("rb") as answers:
        _send(wire, 1, "initialize", adapterID="facet")
        _send(wire, 2, "attach", justMyCode=False)
        reason = ""
        for message in _messages(answers):
            match message.get("event"):
                case "initialized":
                    _send(wire, 3, "setBreakpoints", source={"path": str(file)}, breakpoints=[{"line": line}])
                    _send(wire, 4, "configurationDone")
                case "stopped":
                    reason = message["body"]["reason"]
                    _send(wire, 5, "continue", threadId=message["body"]["threadId"])
                case "terminated" | "exited":
                    break
        return reason


def _send(wire: socket.socket, number: int, command: str, **arguments: Any) -> None:
    body = json.dumps({"seq": number, "type": "request", "command": command, "arguments": arguments}).encode()
    wire.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))


def _messages(answers: BinaryIO) -> Iterator[dict[str, Any]]:
    while length := answers.readline():
        answers.readline()
        yield json.loads(answers.read(int(length.split(b":")[1])))
