"""What a shell completes an argument with: names of functions, queues, schedules and logs, ids of records."""

from collections.abc import Callable, Iterable
from pathlib import Path

import click

from local.cloud import project
from local.cloud.project import Project, makes_avatars
from local.cloud.state import State

Complete = Callable[[click.Context, click.Parameter, str], list[str]]
_RECORDS = 100


def _completing(names: Callable[[Project], Iterable[str]]) -> Complete:
    """Whatever is wrong here, a shell that completes is no place to say so."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        template: Path | None = ctx.params.get("template")
        try:
            found = list(names(project.find(template)))
        except Exception:  # what the verb itself will say when it runs
            return []
        return [name for name in dict.fromkeys(found) if name.startswith(incomplete)]

    return complete


def _queues(found: Project) -> Iterable[str]:
    template = found.read()
    short = ("tasks", "results") if makes_avatars(template) else ()
    return [name for each in (*short, *(each.queue for each in template.queues)) for name in (each, f"{each}.dead")]


def _schedules(found: Project) -> Iterable[str]:
    return [name for each in found.read().schedules for name in (each.name, each.function)]


def _logs(found: Project) -> Iterable[str]:
    state = State.open(found.root)
    services = sorted(path.stem for path in state.log("any").parent.glob("*.log"))
    return [*sorted(found.read().functions), *services]


def _records(found: Project) -> Iterable[str]:
    from local.records.ring import Ring

    return [record.request_id for record in Ring(State.open(found.root).records).latest(_RECORDS)]


functions = _completing(lambda found: sorted(found.read().functions))
queues, schedules, logs, records = map(_completing, (_queues, _schedules, _logs, _records))
