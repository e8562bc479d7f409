"""python -m local.agent: the reference ML agent, until SIGTERM or Ctrl-C."""

import logging
import os
import signal
import sys
import time
from importlib.util import find_spec

from local.agent.settings import Settings, SettingsError

PACKAGES = ("ai_edge_litert", "numpy", "PIL", "pika", "boto3", "urllib3", "opentelemetry")
WRONG_SETTINGS, NOT_INSTALLED = 2, 3
STOP_SECONDS = 4.5  # after that the process ends as it stands, and the broker delivers its task again

log = logging.getLogger("local.agent")


def main() -> int:
    if missing := [package for package in PACKAGES if find_spec(package) is None]:
        packages = ", ".join(missing)
        print(f"the agent needs {packages}: pip install -r local/agent/requirements.txt", file=sys.stderr)
        return NOT_INSTALLED
    try:
        settings = Settings.read(os.environ)
    except SettingsError as exc:
        print(f"the agent cannot start: {exc}", file=sys.stderr)
        return WRONG_SETTINGS
    if settings.ready_file:
        settings.ready_file.unlink(missing_ok=True)  # of an agent that was killed
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # what matters of it is said in the agent's own lines
    _consume(settings)
    return 0


def _consume(settings: Settings) -> None:
    # Imported here because they need packages that may be missing.
    from local.agent import spans
    from local.agent.avatar import Sculptor
    from local.agent.consumer import Consumer
    from local.agent.storage import Storage
    from local.agent.work import Workshop

    started, send_the_last = time.monotonic(), spans.start(os.environ)
    workshop = Workshop(Sculptor(), Storage(settings))
    log.info("models loaded in %.1f s", time.monotonic() - started)
    consumer = Consumer(settings, workshop.perform)

    def stop(number: int, frame: object) -> None:
        consumer.stop()
        signal.setitimer(signal.ITIMER_REAL, STOP_SECONDS)

    signal.signal(signal.SIGALRM, lambda number, frame: os._exit(0))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    consumer.run()
    send_the_last()
    log.info("agent stopped")
    # The interpreter's own end takes long on a busy machine, and the alarm would then be a death by signal.
    signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    sys.exit(main())
