"""On a schedule: tasks of silent agents go to others, messages whose URLs run out are renewed, overdue tasks end."""

from datetime import datetime, timedelta

from avatars import reaping, sandbox
from facet import broker, turns
from facet.function import Function
from facet.settings import settings

app = Function("reap_tasks")

REAP_SECONDS = 25


@app.scheduled
def reap_tasks(now: datetime) -> None:
    """What goes to agents again is announced by relay_outbox."""
    at, ahead = settings(), turns.ahead(now)
    silence = timedelta(minutes=at.agent_silence_minutes)
    steps = {
        "overdue": turns.batch(reaping.end_overdue, deadline=timedelta(hours=at.task_deadline_hours), ahead=ahead),
        "test mode": turns.batch(sandbox.settle_due),
        "ageing": turns.batch(reaping.renew, ahead=ahead),
        "lost for good": if_heard(turns.batch(reaping.end_lost, silence=silence, ahead=ahead)),
        "lost": if_heard(turns.batch(reaping.give_lost_again, silence=silence, ahead=ahead)),
    }
    turns.take(steps, seconds=REAP_SECONDS)


def if_heard(step: turns.Batch) -> turns.Batch:
    """Silence means nothing while reports wait that nobody has read, or while agents have no broker to talk to."""
    return lambda: broker.depth(settings().rabbitmq_tasks_results_queue) == 0 and step()
