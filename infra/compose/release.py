"""`python -m infra.compose.release TAG [--check]`: the image's tag in .env, where every `docker compose` reads it."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from infra.compose.preflight import settings
from local.cloud import environment

PROJECT = Path(__file__).resolve().parents[2]
NAME = "FACET_VERSION"
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_LINE = re.compile(rf"^#?\s*{NAME}=.*$", re.MULTILINE)


def current(project: Path) -> str:
    """The tag that runs. Raises EnvironmentUnreadable."""
    return settings(project)[NAME]


def fault(tag: str, project: Path) -> str | None:
    """What keeps a new image from this tag, if anything does. Raises EnvironmentUnreadable."""
    if not _TAG.fullmatch(tag):
        return f"{tag!r} is no tag of an image. Name one: make upgrade VERSION=1.2"
    if tag == current(project):
        return f"{tag} runs already, and there would be no way back to it. Name another: make upgrade VERSION={tag}-2"
    return None


def set_to(tag: str, project: Path) -> str:
    """Write the tag; the one that it replaces. Raises EnvironmentUnreadable."""
    former, file = current(project), environment.path(project)
    text = file.read_text(encoding="utf-8")
    line = f"{NAME}={tag}"
    changed = _LINE.sub(line, text, count=1) if _LINE.search(text) else f"{text.rstrip()}\n{line}\n"
    draft = file.with_name(f"{file.name}.new")
    draft.touch(mode=0o600)
    draft.write_text(changed, encoding="utf-8")
    draft.chmod(file.stat().st_mode & 0o777)
    draft.replace(file)
    return former


def main(arguments: Sequence[str], project: Path = PROJECT) -> int:
    """0, or 1 when the tag cannot be taken, which is told."""
    parser = argparse.ArgumentParser(prog="python -m infra.compose.release")
    parser.add_argument("tag")
    parser.add_argument("--check", action="store_true", help="whether a new image may have it; nothing is changed")
    options = parser.parse_args(arguments)
    try:
        if options.check:
            wrong = fault(options.tag, project)
            sys.stderr.write(f"{wrong}\n" if wrong else "")
            return int(bool(wrong))
        former = set_to(options.tag, project)
    except (environment.EnvironmentUnreadable, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{NAME} was {former}, is {options.tag}. The way back: make rollback VERSION={former}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
