"""`python -m infra.compose.restore NAME [--force | --check]`: puts a backup of BACKUP_ROOT in the stack's place."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.compose import broker, database, folder, servers
from infra.compose.folder import BackupFailed
from infra.compose.storage import Store


def restore(at: Mapping[str, str], backup: Path, *, force: bool) -> None:
    """Verify the backup, then replace database and objects by it. Raises BackupFailed."""
    print(f"{backup.name}: {folder.verify(backup)} files are as they were written", flush=True)
    check_empty(at, force=force)
    broker.restore(at, backup)
    print(f"objects: {Store(at).restore(backup)}", flush=True)
    database.restore(at, backup)
    print("database: restored", flush=True)


def check_empty(at: Mapping[str, str], *, force: bool) -> None:
    """Raises BackupFailed for a stack with rows or objects, unless forced."""
    if not force and (there := [*database.filled(at), *Store(at).filled()]):
        raise BackupFailed(
            f"The stack is not empty: {', '.join(there[:6])}{' …' * (len(there) > 6)}. Everything in it would be "
            "replaced. If that is meant: make backup, then make restore with FORCE=1."
        )


def main(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> None:
    """Raises SystemExit for a failure, which tells it."""
    parser = argparse.ArgumentParser(prog="python -m infra.compose.restore")
    parser.add_argument("name", help="the backup's folder, such as 20261123T023000Z")
    parser.add_argument("--force", action="store_true", help="also into a stack that is not empty")
    parser.add_argument("--check", action="store_true", help="find out whether it could be done, and change nothing")
    options = parser.parse_args(arguments)
    root = Path(environment.get("BACKUP_ROOT") or "/backups")
    try:
        at = servers.named_in(environment)
        backup = root / Path(options.name).name
        if backup not in folder.finished(root):
            there = ", ".join(each.name for each in folder.finished(root)[-5:]) or "none"
            raise BackupFailed(f"There is no complete backup {options.name}. The newest there are: {there}.")
        if options.check:
            print(f"{backup.name}: {folder.verify(backup)} files are as they were written", flush=True)
            check_empty(at, force=options.force)
        else:
            restore(at, backup, force=options.force)
    except BackupFailed as failure:
        sys.exit(f"Not restored. {failure}")


if __name__ == "__main__":
    main(sys.argv[1:])
