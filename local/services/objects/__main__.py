"""python -m local.services.objects --data DIR --port N: an S3 server until SIGTERM or Ctrl-C."""

import argparse
import logging
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

import uvicorn

from local.services.objects import keys
from local.services.objects.app import App
from local.services.objects.keys import KeysError
from local.services.objects.storage import Storage, StorageError


def main() -> None:
    arguments = _arguments()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    try:
        known = keys.load(os.environ.get("OBJECTS_KEYS"))
        storage = Storage(arguments.data)
    except (KeysError, StorageError, OSError) as exc:
        sys.exit(f"The S3 server cannot start: {exc}")
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    print(f"S3 server on http://{arguments.host}:{arguments.port}, data in {arguments.data}", flush=True)
    try:
        _serve(App(storage, known), arguments.host, arguments.port)
    finally:
        storage.close()


def _serve(app: App, host: str, port: int) -> None:
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        interface="asgi3",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    uvicorn.Server(config).run()


def _leave(number: int, frame: object) -> NoReturn:
    """uvicorn stops on a signal by itself and then raises it again: this is what it meets."""
    raise SystemExit(0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.services.objects", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder for buckets and objects")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
