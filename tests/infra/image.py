"""The Dockerfile without an engine: its stages, which files of the checkout reach them, and what they would run."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "infra/containers/Dockerfile"
PACKAGES = ("/venv", "/interface")
"""What RUN installs from the locks: here the packages of the virtual environment that runs the tests."""
Instruction = tuple[str, str]


@dataclass
class Image:
    """What a target is: `files` maps folders and files of the image to those of the checkout."""

    files: dict[str, Path] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    user: str = "0"
    entrypoint: list[str] = field(default_factory=list)
    cmd: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)
    workdir: str = "/"

    @property
    def command(self) -> list[str]:
        return [*self.entrypoint, *self.cmd]

    def unpack(self, folder: Path, *, python: str = sys.executable, **_: object) -> Path:
        """The files below `folder`, which nobody may change; the working directory there."""
        for target, source in self.files.items():
            place = folder / target.lstrip("/")
            for file in [source, *source.rglob("*")] if source.is_dir() else [source]:
                if file.is_file() and included(file.relative_to(ROOT)):
                    copy = place / file.relative_to(source) if source.is_dir() else place
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(file, copy)
        subprocess.run([python, "-m", "compileall", "-q", str(folder)], check=True)  # as the Dockerfile does
        for each in (folder, *folder.rglob("*")):
            each.chmod(stat.S_IMODE(each.stat().st_mode) & ~0o222)
        return folder / self.workdir.lstrip("/")

    def environment(self, folder: Path) -> dict[str, str]:
        """ENV, with the folders of the image where they are here."""
        variables = {name: value for name, value in self.env.items() if name != "PATH"}
        if paths := variables.get("PYTHONPATH", "").split(":"):
            there = [str(folder / path.lstrip("/")) for path in paths if path and path not in PACKAGES]
            variables |= {"PYTHONPATH": os.pathsep.join(there)} if there else {}
        return variables


def stages() -> dict[str, tuple[str, list[Instruction]]]:
    """By name: the base and the instructions."""
    found: dict[str, tuple[str, list[Instruction]]] = {}
    current: list[Instruction] = []
    for keyword, arguments in _instructions():
        if keyword == "FROM":
            base, name = re.fullmatch(r"(\S+) AS (\S+)", arguments).groups()  # type: ignore[union-attr]  # none is without
            current = []
            found[name] = (base, current)
        else:
            current.append((keyword, arguments))
    return found


def image(target: str) -> Image:
    base, instructions = stages()[target]
    made = image(base) if base in stages() else Image()
    for keyword, arguments in instructions:
        match keyword:
            case "ENV":
                made.env |= dict(part.split("=", 1) for part in arguments.split())
            case "WORKDIR":
                made.workdir = arguments
            case "USER":
                made.user = arguments
            case "ENTRYPOINT":
                made.entrypoint = json.loads(arguments)
            case "CMD":
                made.cmd = json.loads(arguments)
            case "HEALTHCHECK":
                _, _, command = arguments.partition("CMD ")
                made.healthcheck = json.loads(command) if command else []
            case "COPY":
                _copy(made, arguments.split())
    return made


def copied() -> list[str]:
    """Every path of the checkout that some stage copies."""
    words = [arguments.split() for _, body in stages().values() for keyword, arguments in body if keyword == "COPY"]
    return [source for each in words if not each[0].startswith("--from") for source in each[:-1]]


def included(path: Path) -> bool:
    """Whether .dockerignore lets a path of the checkout reach the build: the last rule that matches decides."""
    verdict = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        rule = line.strip()
        if rule and not rule.startswith("#") and _matches(rule.lstrip("!"), path):
            verdict = rule.startswith("!")
    return verdict


def _matches(rule: str, path: Path) -> bool:
    """A rule is for the path itself or for a folder that it is in."""
    expression = re.escape(rule).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
    whole = [str(path), *(str(parent) for parent in path.parents if parent != Path())]
    return any(re.fullmatch(expression, each) for each in whole)


def _copy(made: Image, words: list[str]) -> None:
    *sources, target = words
    if sources[0].startswith("--from="):
        taken = image(sources[0].removeprefix("--from=")).files
        made.files |= {each: source for each, source in taken.items() if each.startswith(f"{target}/")}
        return
    for source in sources:
        place = os.path.join(made.workdir, target)  # noqa: PTH118  # paths of the image
        name = f"{place}{Path(source).name}" if place.endswith("/") else place
        made.files[os.path.normpath(name)] = ROOT / source


def _instructions() -> list[Instruction]:
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(line.split(None, 1)[0], line.split(None, 1)[1].strip()) for line in joined.splitlines() if line.strip()]
