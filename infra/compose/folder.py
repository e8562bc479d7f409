"""A backup's folder: complete or not there at all, with a checksum of every file, as `sha256sum -c` reads them."""

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

SUMS = "SHA256SUMS"
_NAME = re.compile(r"\d{8}T\d{6}Z")


class BackupFailed(Exception):
    """A backup cannot be made or restored: the text says why, and what to do."""


@contextlib.contextmanager
def begun(root: Path) -> Iterator[Path]:
    """A folder to fill; at the block's end it has a name, unless that failed. One at a time. Raises BackupFailed."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = (root / ".lock").open("w")
    except OSError as error:
        raise BackupFailed(
            f"{root} cannot be written ({error.strerror}). Let BACKUP_USER of .env own the folder BACKUP_FOLDER names."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupFailed(f"Another backup into {root} is under way. Wait for it, and begin again.") from None
        draft = root / "unfinished"
        shutil.rmtree(draft, ignore_errors=True)  # of a machine that was switched off
        try:
            draft.mkdir(mode=0o700)
            yield draft
            while (named := root / datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")).exists():
                time.sleep(0.1)  # a name is a second
            draft.rename(named)
        except OSError as error:
            shutil.rmtree(draft, ignore_errors=True)
            raise BackupFailed(
                f"{root} cannot hold it ({error.strerror or error}). Make room there, or let BACKUP_KEEP be less."
            ) from error
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise


def finished(root: Path) -> list[Path]:
    """The backups there are, oldest first, without those that nobody here may look into."""
    return [each for each in _named(root) if _is_complete(each)]


def prune(root: Path, keep: int) -> Iterator[Path]:
    """Remove all but the newest, and tell which are gone. At last raises BackupFailed, if there are some that stay."""
    staying = [f"{each} ({os.strerror(errno.EACCES)})" for each in _named(root) if _is_complete(each) is None]
    for each in finished(root)[: -max(keep, 1)]:
        try:
            shutil.rmtree(each)
        except OSError as error:
            staying.append(f"{each} ({error.strerror or error})")
        else:
            yield each
    if staying:
        raise BackupFailed(
            f"{', '.join(staying)} cannot be removed. Let BACKUP_USER of .env own it, or remove it yourself."
        )


def _named(root: Path) -> list[Path]:
    return sorted(each for each in root.glob("*Z") if _NAME.fullmatch(each.name))


def _is_complete(folder: Path) -> bool | None:
    """None for a folder that somebody else has closed."""
    try:
        return (folder / SUMS).is_file()
    except PermissionError:
        return None


def seal(folder: Path, known: Mapping[Path, str]) -> None:
    """Write the checksums of all files; `known` ones need not be read again."""
    files = sorted(each for each in folder.rglob("*") if each.is_file())
    lines = [f"{known.get(each) or checksum(each)}  {each.relative_to(folder)}\n" for each in files]
    with (folder / SUMS).open("w") as output:
        output.writelines(lines)
        output.flush()
        os.fsync(output.fileno())


def verify(folder: Path) -> int:
    """How many files are as they were written. Raises BackupFailed, which names those that are not."""
    try:
        lines = (folder / SUMS).read_text().splitlines()
    except OSError as error:
        raise BackupFailed(f"{folder} is no complete backup: {SUMS} cannot be read ({error.strerror}).") from error
    sums = {name: value for value, _, name in (line.partition("  ") for line in lines)}
    wrong = [name for name, value in sums.items() if not _is(folder / name, value)]
    if wrong:
        raise BackupFailed(
            f"{folder} is damaged: {', '.join(sorted(wrong)[:5])}{' …' * (len(wrong) > 5)} of {len(sums)} files "
            "are not as they were written. Take another backup, or a copy of this one from elsewhere."
        )
    return len(sums)


def checksum(file: Path) -> str:
    """The SHA-256 of its content."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _is(file: Path, expected: str) -> bool:
    return file.is_file() and checksum(file) == expected
