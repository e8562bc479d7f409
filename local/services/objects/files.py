"""Files that hold the bytes: written aside, then named and synced, never changed afterwards."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self
from uuid import uuid4

from local.services.objects.checksums import entity_tag


class Draft:
    """A file being written; left without being kept, it is gone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._md5 = entity_tag()
        self._file = path.open("xb")

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._md5.update(data)
        self.size += len(data)

    @property
    def md5(self) -> bytes:
        return self._md5.digest()

    def sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        finally:
            self.path.unlink(missing_ok=True)


class Files:
    """One folder of finished files under random names, one of drafts."""

    def __init__(self, folder: Path) -> None:
        self._kept, self._drafts = folder / "objects", folder / "drafts"
        shutil.rmtree(self._drafts, ignore_errors=True)
        self._drafts.mkdir(parents=True)
        self._kept.mkdir(exist_ok=True)
        self._folder = os.open(self._kept, os.O_RDONLY)
        self.sync()

    def draft(self) -> Draft:
        return Draft(self._drafts / uuid4().hex)

    def keep(self, draft: Draft) -> None:
        """The draft is a finished file of the same name, and survives a power cut; nobody asks for it before."""
        draft.path.rename(self._kept / draft.path.name)
        draft.sync()
        self.sync()

    def link(self, name: str) -> str:
        """A second name for the same bytes, lasting after the next `sync`."""
        twin = uuid4().hex
        (self._kept / twin).hardlink_to(self._kept / name)
        return twin

    def sync(self) -> None:
        os.fsync(self._folder)

    def open(self, name: str) -> BinaryIO:
        return (self._kept / name).open("rb", buffering=0)

    def drop(self, names: Iterable[str | None]) -> None:
        for name in names:
            if name is not None:
                (self._kept / name).unlink(missing_ok=True)

    def sweep(self, wanted: set[str]) -> None:
        """Removes what a crash left behind."""
        self.drop(entry.name for entry in os.scandir(self._kept) if entry.name not in wanted)

    def close(self) -> None:
        os.close(self._folder)
