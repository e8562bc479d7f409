"""How many messages wait in queues, asked of the broker again and again over one connection."""

import contextlib
import time
from collections.abc import Iterable

from pika.adapters.blocking_connection import BlockingChannel  # type: ignore[import-untyped] # pika ships no py.typed
from pika.exceptions import AMQPError, ChannelClosedByBroker  # type: ignore[import-untyped] # as above

from local.cloud.broker import Broker, BrokerProblem

_MISSING_SECONDS = 60.0


class Depths:
    """For one thread, which may wait: a broker that is gone is asked again at the next call."""

    def __init__(self, broker: Broker) -> None:
        self._broker, self._connected = broker, contextlib.ExitStack()
        self.names = list(broker.names.values())
        """The queues that the settings name."""
        self._channel: BlockingChannel | None = None
        self._missing: dict[str, float] = {}

    def of(self, queues: Iterable[str]) -> dict[str, int]:
        """The messages that wait in each queue; one that is not there is left out, and all are without a broker."""
        found = {}
        try:
            self._channel = self._channel or self._connected.enter_context(self._broker.channel())
            for queue in queues:
                if self._missing.get(queue, 0) < time.monotonic() and (depth := self._depth(queue)) is not None:
                    found[queue] = depth
        except (AMQPError, BrokerProblem):
            self.close()
        return found

    def close(self) -> None:
        self._channel = None
        with contextlib.suppress(AMQPError, BrokerProblem):
            self._connected.close()

    def _depth(self, queue: str) -> int | None:
        assert self._channel is not None
        try:
            return int(self._channel.queue_declare(queue, passive=True).method.message_count)
        except ChannelClosedByBroker:  # there is no such queue; the broker logs each time it is asked for
            self._missing[queue] = time.monotonic() + _MISSING_SECONDS
            self._channel = self._channel.connection.channel()
            return None
