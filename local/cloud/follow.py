"""A running stack follows what is edited: code is renewed, a changed template takes the place of the one before."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path
from typing import Protocol

from local.cloud import handlers, watch
from local.cloud.triggers import BrokerUnknown, Triggers
from local.gateway.app import Gateway
from local.invoker import Invoker
from local.template import Template, TemplateError, load
from local.triggers.cron import BadSchedule


class Followed(Protocol):
    """What of a stack a template changes."""

    settings: dict[str, str]
    template: Template | None
    refused: dict[str, str]
    triggers: Triggers | None
    app: Gateway | None

    @property
    def report(self) -> Callable[[str], None]:
        raise NotImplementedError


@contextlib.asynccontextmanager
async def following(stack: Followed, invoker: Invoker) -> AsyncIterator[None]:
    """Until the block ends."""
    task = asyncio.create_task(_follow(stack, invoker, watch.look(invoker.template)))
    task.add_done_callback(lambda _: _explain(task, stack.report))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _follow(stack: Followed, invoker: Invoker, seen: watch.Seen) -> None:
    told: dict[Path, str] = {}
    await invoker.reload(())
    async with asyncio.TaskGroup() as renewing:
        async for changed in watch.changes(lambda: invoker.template, seen):
            if invoker.template.path in changed:
                await _replace_template(stack, invoker)
            if not changed.isdisjoint(invoker.template.requirements):
                stack.report("reload: requirements changed: install them and start `facet up` anew (or: make up)")
            renewing.create_task(_reload(stack, invoker, changed, told))


async def _reload(stack: Followed, invoker: Invoker, changed: Collection[Path], told: dict[Path, str]) -> None:
    """What no function that lives has met is told here, once: the next call would fail with it."""
    await invoker.reload(changed)
    root = invoker.template.path.parent
    faults = await asyncio.to_thread(handlers.syntax_errors, changed, root)
    known = [*invoker.broken.values(), *told.values()]
    for fault in faults.values():
        if not any(error.startswith(fault.partition(": ")[0]) for error in known):
            stack.report(f"reload: {fault}")
    for file in changed:
        told.pop(file, None)
    told |= faults


async def _replace_template(stack: Followed, invoker: Invoker) -> None:
    before = invoker.template
    try:
        template = load(before.path, stack.settings)
        if template.missing:
            raise TemplateError(f"these settings have no value: {', '.join(template.missing)}; put them into .env")
        if stack.triggers:
            await stack.triggers.follow(template)
    except (TemplateError, BadSchedule, BrokerUnknown) as exc:
        stack.refused = {before.path.name: str(exc)}
        stack.report(f"reload: {before.path.name} stays as it was: {exc}")
        return
    stack.refused = {}
    for warning in dict.fromkeys(template.warnings):
        if warning not in before.warnings:
            stack.report(f"template: {warning}")
    stack.template = template
    if stack.app:
        stack.app.replace(template)
    stack.report(f"reload: {len(template.functions)} functions of {template.path.name}")
    await invoker.replace(template)


def _explain(task: asyncio.Task[None], report: Callable[[str], None]) -> None:
    if not task.cancelled() and (failure := task.exception()):
        report(f"reload: changes are no longer followed, start `facet up` anew: {failure!r}")
