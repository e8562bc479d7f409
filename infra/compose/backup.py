"""`python -m infra.compose.backup [--daily]`: a backup into BACKUP_ROOT (/backups), now or daily at BACKUP_TIME, UTC.

The database comes first, the objects after it: every object that a row of the dump names was there when the dump was
made, so only what somebody deletes during the backup can be missing. The other way round, the newest tasks would be
there without their photos.
"""

import argparse
import json
import os
import signal
import sys
import time as clock
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

from infra.compose import broker, database, folder, servers
from infra.compose.folder import BackupFailed
from infra.compose.storage import Store, index

MANIFEST = "manifest.json"
WORKS = Path("/tmp/backups-work")  # noqa: S108  # of a container, for its health check; gone while something failed
AGAIN = timedelta(minutes=15)


def make(at: Mapping[str, str], root: Path) -> Path:
    """A complete backup of the stack, next to the former ones. Raises BackupFailed."""
    former = next(reversed(folder.finished(root)), None)
    os.umask(0o077)
    with folder.begun(root) as draft:
        begun = datetime.now(UTC)
        told: dict[str, Any] = {"begun": begun.isoformat(timespec="seconds"), "database": database.dump(at, draft)}
        told["queues"] = broker.save(at, draft)
        sums = Store(at).save(draft, former)
        told |= {"objects": sum(1 for _ in index(draft)), "bytes": sum(each.stat().st_size for each in sums)}
        (draft / MANIFEST).write_text(json.dumps(told, indent=1) + "\n")
        folder.seal(draft, sums)
    made = folder.finished(root)[-1]
    print(
        f"{made.name}: schema {told['database']['revision']}, {told['objects']} objects, {told['bytes']} bytes",
        flush=True,
    )
    return made


def daily(at: Mapping[str, str], root: Path, *, sleep: Callable[[float], None] = clock.sleep) -> None:
    """Make one at BACKUP_TIME and keep BACKUP_KEEP, until the process ends. A failed one is tried again."""
    when, keep = _time(at.get("BACKUP_TIME") or "02:30"), _count(at.get("BACKUP_KEEP") or "14")
    due = following(datetime.now(UTC), when)
    WORKS.touch()
    print(f"the next backup is made at {due:%Y-%m-%d %H:%M} UTC", flush=True)
    while True:
        while (wait := (due - datetime.now(UTC)).total_seconds()) > 0:
            sleep(min(wait, 60))  # the clock may be set
        try:
            make(at, root)
        except BackupFailed as failure:
            WORKS.unlink(missing_ok=True)
            due = datetime.now(UTC) + AGAIN
            print(f"no backup: {failure} It is tried again in 15 minutes.", flush=True)
            continue
        due = following(datetime.now(UTC), when)
        try:
            for gone in folder.prune(root, keep):
                print(f"{gone.name}: removed, {keep} are kept", flush=True)
            WORKS.touch()
        except BackupFailed as failure:
            WORKS.unlink(missing_ok=True)
            print(f"an old backup stays: {failure} It is tried again after the next one.", flush=True)


def following(now: datetime, when: time) -> datetime:
    """The next moment with this time of the day."""
    today = datetime.combine(now.date(), when, UTC)
    return today if today > now else today + timedelta(days=1)


def _time(text: str) -> time:
    try:
        return time.fromisoformat(text)
    except ValueError:
        raise BackupFailed(
            f"BACKUP_TIME is {text!r}, and has to be a time such as 02:30. Correct it in .env."
        ) from None


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise BackupFailed(f"BACKUP_KEEP is {text!r}, and has to be a number of backups. Correct it in .env.")
    return int(text)


def main(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> None:
    """Raises SystemExit for a failure, which tells it."""
    parser = argparse.ArgumentParser(prog="python -m infra.compose.backup")
    parser.add_argument("--daily", action="store_true", help="every day at BACKUP_TIME, until the process ends")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # what is unfinished is removed
    try:
        at = servers.named_in(environment)
        (daily if options.daily else make)(at, Path(at.get("BACKUP_ROOT") or "/backups"))
    except BackupFailed as failure:
        sys.exit(f"No backup was made. {failure}")


if __name__ == "__main__":
    main(sys.argv[1:])
