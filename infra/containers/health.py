"""The image's health check: whether FACET_READY_FILE is there, if that is set, else whether PORT answers."""

import http.client
import os
import sys
from pathlib import Path


def main() -> int:
    """0 for a process that works, 1 for another."""
    if ready := os.environ.get("FACET_READY_FILE"):
        return 0 if Path(ready).exists() else 1
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("PORT") or 8080), timeout=4)
    try:
        connection.request("GET", "/_/health")
        return 0 if connection.getresponse().status == 200 else 1
    except (OSError, http.client.HTTPException):
        return 1


if __name__ == "__main__":
    sys.exit(main())
