"""The agent as a consumer: takes one task at a time and acknowledges it when the broker has confirmed its report."""

import logging
import time

from local.agent.assignment import Assignment, Outcome, Perform
from local.agent.broker import BrokerAway, Delivery, Session
from local.agent.pause import Pause
from local.agent.settings import Settings
from local.agent.task import MalformedTask, Unavailable, read_task
from local.agent.worker import Worker

POLL_SECONDS = 0.5  # how late a stop may be noticed
GRACE_SECONDS = 3.0  # how long a stop waits for the task in hand

log = logging.getLogger(__name__)


class Consumer:
    def __init__(self, settings: Settings, perform: Perform) -> None:
        """`perform` is called from one thread of its own and may take longer than a heartbeat."""
        self._settings = settings
        self._perform = perform
        self._worker = Worker()
        self._assignment: Assignment | None = None
        self._before_reconnect = Pause(first=0.5, longest=5)
        self._before_giving_back = Pause(first=1, longest=60)
        self._stopping = False

    def stop(self) -> None:
        """Safe in a signal handler: `run` returns soon, the task in hand finished or given back."""
        self._stopping = True

    def run(self) -> None:
        """Consume until `stop`, through any absence of the broker."""
        while not self._stopping:
            try:
                self._serve()
            except BrokerAway as exc:
                seconds = self._before_reconnect.next()
                log.warning("broker %s:%d: %s; again in %g s", self._settings.host, self._settings.port, exc, seconds)
                self._sleep(seconds)

    def _serve(self) -> None:
        session = Session(self._settings)
        try:
            session.consume(lambda delivery: self._take(session, delivery))
            log.info("agent ready: waiting for tasks on %s", self._settings.tasks_queue)
            self._announce()
            while not self._stopping:
                session.wait(POLL_SECONDS)
            self._finish(session)
        finally:
            self._withdraw()
            self._abandon()
            session.close()

    def _take(self, session: Session, delivery: Delivery) -> None:
        try:
            task = read_task(delivery.body)
        except MalformedTask as exc:
            log.error("a malformed task goes to the dead letters: %s", exc)
            session.refuse(delivery)
            return
        log.info("task %s: taken%s", task.request_uuid, " again" if delivery.redelivered else "")
        self._assignment = assignment = Assignment(session, delivery, task)
        self._worker.submit(lambda: assignment.work(self._perform, self._settle))

    def _settle(self, assignment: Assignment, outcome: Outcome) -> None:
        if isinstance(outcome, Unavailable):
            seconds = self._before_giving_back.next()
            log.warning("task %s goes back in %g s: %s", assignment.task.request_uuid, seconds, outcome)
            assignment.session.later(seconds, lambda: self._give_back(assignment))
            return
        assignment.session.publish(outcome, assignment.delivery)
        assignment.session.acknowledge(assignment.delivery)
        self._assignment = None
        self._before_giving_back.reset()
        self._before_reconnect.reset()

    def _give_back(self, assignment: Assignment) -> None:
        if not assignment.abandoned:
            self._abandon()
            assignment.session.give_back(assignment.delivery)

    def _finish(self, session: Session) -> None:
        session.stop_consuming()
        deadline = time.monotonic() + GRACE_SECONDS
        while self._assignment and time.monotonic() < deadline:
            session.wait(0.1)
        if self._assignment:
            self._give_back(self._assignment)

    def _abandon(self) -> None:
        if self._assignment:
            self._assignment.abandoned = True
            self._assignment = None

    def _announce(self) -> None:
        if self._settings.ready_file:
            self._settings.ready_file.touch()

    def _withdraw(self) -> None:
        if self._settings.ready_file:
            self._settings.ready_file.unlink(missing_ok=True)

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._stopping and time.monotonic() < end:
            time.sleep(0.1)
