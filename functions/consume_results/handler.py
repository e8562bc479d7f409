"""The results queue: what agents report becomes the state of tasks."""

from avatars import contracts, results
from facet import broker, db, log, objects
from facet.function import Function
from facet.messages import Message

app = Function("consume_results")


@app.consumer
def consume_results(message: Message) -> None:
    """Settles a message for good; only failing infrastructure raises, and then the batch comes again."""
    try:
        report = contracts.read_report(message.body)
        results.settle(db.transaction, report, objects=objects)
    except contracts.Rejected as rejected:
        log.get().warning("message rejected", extra={"code": rejected.code, "reason": str(rejected)})
        broker.dead_letter(
            queue=message.queue,
            body=message.body,
            code=rejected.code,
            error=str(rejected),
            message_id=message.message_id,
            correlation_id=message.correlation_id,
            type=message.type,
            content_type=message.content_type,
            timestamp=message.timestamp,
            headers=message.headers,
        )
