"""One delivered task: worked on in the worker's thread, reported and settled in the session's."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from local.agent import reports, spans
from local.agent.avatar import Progress
from local.agent.broker import BrokerAway, Delivery, Session
from local.agent.reports import Report
from local.agent.task import Task, Unavailable

Perform: TypeAlias = Callable[[Task, Progress], Report]
Outcome: TypeAlias = Report | Unavailable

log = logging.getLogger(__name__)


class Abandoned(Exception):
    """The session a task came in has ended; the broker delivers the task again, to us or to another."""


class Assignment:
    def __init__(self, session: Session, delivery: Delivery, task: Task) -> None:
        self.session, self.delivery, self.task = session, delivery, task
        self.abandoned = False
        self._stages = spans.Stages()

    def work(self, perform: Perform, settle: Callable[["Assignment", Outcome], None]) -> None:
        """In the worker's thread. `settle` is called in the session's."""
        delivery = self.delivery
        try:
            with spans.message("process", delivery.queue, delivery.headers, self.task.request_uuid) as (span, headers):
                self.delivery = replace(delivery, headers=headers)
                outcome = self._outcome(perform)
                self._stages.end()
                if isinstance(outcome, Unavailable) or "error" in outcome:
                    spans.fail(span, _failure(outcome))
            self._in_session(lambda: settle(self, outcome))
        except Abandoned:
            log.info("task %s: dropped, the broker will deliver it again", self.task.request_uuid)

    def _outcome(self, perform: Perform) -> Outcome:
        try:
            return perform(self.task, self._progress)
        except Abandoned:
            raise
        except Unavailable as exc:
            return exc
        except Exception:  # whatever a strange photo may break, the person who waits must hear of it
            log.exception("task %s: the agent failed", self.task.request_uuid)
            return reports.failed(self.task, "the agent failed while it made the avatar")

    def _progress(self, percent: int, stage: str) -> None:
        self._stages.begin(stage)
        report = reports.progress(self.task, percent, stage)
        self._in_session(lambda: self.session.publish(report, self.delivery))

    def _in_session(self, callback: Callable[[], None]) -> None:
        if self.abandoned:
            raise Abandoned
        try:
            self.session.call(lambda: None if self.abandoned else callback())
        except BrokerAway as exc:
            raise Abandoned from exc


def _failure(outcome: Outcome) -> str:
    return "Unavailable" if isinstance(outcome, Unavailable) else str(outcome["error"]["code"])
