"""One task from photo to report."""

import logging

from local.agent import download, reports
from local.agent.avatar import Progress, Sculptor
from local.agent.photo import UnusablePhoto
from local.agent.reports import Report
from local.agent.storage import Storage
from local.agent.task import Task, TaskFailed

log = logging.getLogger(__name__)


class Workshop:
    """Not safe for use from two threads at once."""

    def __init__(self, sculptor: Sculptor, storage: Storage) -> None:
        self._sculptor = sculptor
        self._storage = storage

    def perform(self, task: Task, progress: Progress) -> Report:
        """How the task ended. Raises Unavailable if it has not, and whatever `progress` raises."""
        try:
            progress(5, "downloading")
            photo = download.fetch(task.input_file_url)
            avatar = self._sculptor.sculpt(photo, progress)
            progress(90, "uploading")
            self._storage.put(task.output_bucket, task.file_name, avatar.glb)
        except UnusablePhoto as exc:
            log.info("task %s: %s: %s", task.request_uuid, exc.code, exc)
            return reports.invalid_input(task, exc.code, str(exc))
        except TaskFailed as exc:
            log.warning("task %s failed: %s", task.request_uuid, exc)
            return reports.failed(task, str(exc))
        log.info("task %s: stored a model of %d bytes in %s", task.request_uuid, len(avatar.glb), task.output_bucket)
        return reports.result(task, avatar)
