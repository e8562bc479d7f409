"""A process that is a warm function: handles the events in the files named, and says what memory it has ever had."""

import importlib
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace


def resident(what: str) -> int:
    """The resident size of this process in bytes: now (VmRSS), or the largest so far (VmHWM)."""
    found = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def main(function: str, events: list[str]) -> None:
    app = importlib.import_module(f"functions.{function}.handler").app
    context = SimpleNamespace(
        function_name=function, aws_request_id="request-1", get_remaining_time_in_millis=lambda: 30_000
    )
    for path in events:
        text = Path(path).read_bytes()  # kept meanwhile, as a runtime may do
        answer = app(json.loads(text), context)
        del text
        sizes = {"peak": resident("VmHWM"), "resting": resident("VmRSS")}
        print(json.dumps({"status": answer["statusCode"], "body": answer["body"], **sizes}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
