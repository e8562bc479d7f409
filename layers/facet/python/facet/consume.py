"""`python -m facet.consume [NAME]`: a function behind the results queue of RabbitMQ, in a process of its own.

Messages are handled one at a time and acknowledged one by one; FACET_PREFETCH (10) of them are held at once.

- The function returned: the message is settled, also one that it put among the dead letters.
- It raised, since something it needs is away: the message is kept and tried again here after 1, 2, 4, … 30 seconds,
  while heartbeats go on. It is not given back, as a return may count towards the queue's delivery limit of 20.
  RabbitMQ takes back what it waits for longer than 4 hours, which this consumer asks for in place of the usual 30
  minutes (brokers before 3.12 do not listen). That ends the channel; the next one is given the message again. Brokers
  before 4.3 count it as one delivery, so that the dead letters begin after 3 days of outage, with 30 minutes after 10
  hours.
- The broker is away, at the start or later: it is asked again after 1, 2, 4, … 30 seconds, for ever.
- SIGTERM or SIGINT: nothing further is taken, the message at work is finished and settled, the others are given back,
  and the process ends with 0, after FACET_GRACE (25) seconds at the latest. A second signal ends it at once.
- Wrong credentials, no such queue, a setting that cannot be used: one line on stderr, and the process ends with 1.

FACET_READY_FILE exists while messages are consumed. FACET_TIMEOUT (30) is how many seconds the function is told it has.
"""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence

from facet import loading, log
from facet.consumer import Consumer, Options, Refused
from facet.options import WrongOption
from facet.settings import SettingsError

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m facet.consume", description="Give a function its queue's messages")
    parser.add_argument("name", nargs="?", default="consume_results", help="the function (default: consume_results)")
    name = parser.parse_args(arguments).name
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # before any thread: one of them waits for signals
    try:
        options = Options.read(os.environ)
        function = loading.load(name)
        if not function.consumes:
            raise Refused(f"The function {name} consumes no messages; consume_results does.")
        consumer = Consumer(function, options)
        threading.Thread(target=_watch, args=(consumer, options.grace), name="signals", daemon=True).start()
        consumer.run()
    except (Refused, WrongOption, SettingsError, loading.UnknownFunction, loading.BrokenFunction) as error:
        print(f"facet.consume: {log.redacted(str(error))}", file=sys.stderr)
        return 1
    return 0


def _watch(consumer: Consumer, grace: float) -> None:
    """The first signal stops the consumer; the second one, or the end of the grace, ends the process."""
    signal.sigwait(_SIGNALS)
    consumer.stop()
    last = threading.Timer(grace, os._exit, (0,))
    last.daemon = True
    last.start()
    signal.sigwait(_SIGNALS)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
