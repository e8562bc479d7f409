"""Stand-ins for a cloud's command line, which write down how they were called."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import PROJECT

_PROGRAM = """#!{python}
import json, pathlib, sys
arguments = sys.argv[1:]
named = [(word.partition("=")[2] or word).lstrip("@") for word in arguments]
paths = [pathlib.Path(name) for name in named if name.startswith("/")]
texts = {{str(path): path.read_text(errors="replace") for path in paths if path.is_file()}}
read = sys.stdin.read() if "--data-file=-" in arguments else ""
called = {{"program": pathlib.Path(sys.argv[0]).name, "arguments": arguments, "files": texts, "read": read}}
with open({record!r}, "a") as out:
    out.write(json.dumps(called) + "\\n")
print("https://facet.example.org" if "describe" in arguments else "an-id" if "show" in arguments else "")
"""


@dataclass(frozen=True)
class Call:
    program: str
    arguments: list[str]
    files: dict[str, str]
    """What was in the files that the arguments name."""
    read: str

    def __contains__(self, words: str) -> bool:
        return set(words.split()) <= set(self.arguments)

    def option(self, name: str) -> str:
        [value] = [word.partition("=")[2] for word in self.arguments if word.startswith(f"{name}=")]
        return value


class Commands:
    """Runs a deployment script with these programs in place of the real ones."""

    def __init__(self, folder: Path, script: str, *programs: str, **environment: str) -> None:
        self._script, self._environment, self._record = script, environment, folder / "calls"
        self._path = folder / "bin"
        self._path.mkdir()
        for name in programs:
            program = self._path / name
            program.write_text(_PROGRAM.format(python=sys.executable, record=str(self._record)), encoding="utf-8")
            program.chmod(0o755)

    def run(self, *arguments: str, typed: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
        path = f"{self._path}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            [PROJECT / self._script, *arguments],
            cwd=PROJECT,
            env={"PATH": path, **self._environment, **environment},
            input=typed,
            capture_output=True,
            text=True,
        )

    @property
    def calls(self) -> list[Call]:
        lines = self._record.read_text(encoding="utf-8").splitlines() if self._record.exists() else []
        return [Call(**json.loads(line)) for line in lines]

    def of(self, words: str) -> list[Call]:
        return [call for call in self.calls if words in call]
