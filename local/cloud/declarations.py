"""The queues of a template's mappings, where nobody else has declared them."""

from collections.abc import Callable, Collection

from pika.exceptions import ChannelClosedByBroker  # type: ignore[import-untyped] # pika ships no py.typed

from local.cloud.broker import Broker, BrokerProblem


def declare_missing(broker: Broker, names: Collection[str], kind: str, report: Callable[[str], None]) -> None:
    """Make those exist that do not; `kind` is quorum or classic."""
    try:
        with broker.channel() as channel:
            for name in names:
                try:
                    channel.connection.channel().queue_declare(name, passive=True)
                except ChannelClosedByBroker:
                    channel.connection.channel().queue_declare(name, durable=True, arguments={"x-queue-type": kind})
                    report(f"queue {name}: nobody had declared it; it is durable and {kind} (RABBITMQ_QUEUE_TYPE)")
    except BrokerProblem as problem:
        report(f"queues: {problem}")
