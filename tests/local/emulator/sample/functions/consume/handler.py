"""Appends every event to the file `batches`; waits while there is a file `wait`, fails while there is one `fail`."""

import json
import os
import time
from pathlib import Path
from typing import Any


def app(event: dict[str, Any], context: Any) -> None:
    folder = Path(os.environ["GREETING"])
    (folder / "pid").write_text(str(os.getpid()))
    with (folder / "batches").open("a") as file:
        file.write(json.dumps(event) + "\n")
    while (folder / "wait").exists():
        time.sleep(0.01)
    if (folder / "fail").exists():
        raise RuntimeError("the database is away")
