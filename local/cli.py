"""The `facet` command line: its verbs, each imported when it is asked for."""

import importlib
import os
import sys
from typing import Any, ClassVar

try:
    import click
except ModuleNotFoundError:
    sys.exit("The package click is missing from this Python: next: `make up` in the project installs what is needed.")

from local import failures

EXIT_CODES = """\b
Exit codes:
  0    done, or all is well; `facet up` was stopped by Ctrl-C or `facet down`
  1    it failed, differs, or is not running; standard error says why and what to do next
  2    the command line was not understood
  130  interrupted by Ctrl-C before it was done
"""


class Verbs(click.Group):
    """Commands by name, in modules of `local.verbs`: a short verb does not pay for the imports of the others."""

    sections: ClassVar[dict[str, dict[str, tuple[str, ...]]]] = {
        "The stack": {
            "stack": ("up", "down", "status", "doctor", "reset"),
            "env": ("env",),
            "template": ("diff",),
            "demo": ("demo",),
        },
        "Functions": {
            "functions": ("functions", "routes", "invoke"),
            "event": ("event",),
            "debug": ("vscode",),
        },
        "Queues and schedules": {"queues": ("queue",), "send": ("send",), "schedules": ("schedule",)},
        "What has happened": {
            "logs": ("logs",),
            "trace": ("trace",),
            "records": ("records", "show"),
            "replay": ("replay", "save"),
        },
        "Operation": {
            "deploy": ("deploy",),
            "internal": ("migrate", "revision", "token"),
            "keys": ("apikey",),
            "users": ("user",),
            "tasks": ("task",),
            "legacy": ("import-legacy",),
            "completion": ("completion",),
        },
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which somebody new meets them."""
        return [name for modules in self.sections.values() for names in modules.values() for name in names]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for modules in self.sections.values():
            for module, names in modules.items():
                if cmd_name in names:
                    found = getattr(importlib.import_module(f"local.verbs.{module}"), cmd_name.replace("-", "_"))
                    assert isinstance(found, click.Command)
                    return found
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        if args[0] not in known and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise click.exceptions.NoSuchCommand(args[0], possibilities=known, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        limit = formatter.width - 6 - max(map(len, self.list_commands(ctx)))
        for title, modules in self.sections.items():
            rows = []
            for name in (name for names in modules.values() for name in names):
                command = self.get_command(ctx, name)
                assert command is not None
                rows.append((name, command.get_short_help_str(limit)))
            with formatter.section(title):
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; what goes wrong ends in one message, and in a traceback only for who asks for it."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(130) from None
        except Exception as exc:
            debugged = ctx.params["debug"] or os.environ.get("FACET_DEBUG")
            text = None if debugged else failures.told(exc)
            if text is None:
                raise
            raise click.ClickException(text) from exc


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EXIT_CODES,
)
@click.version_option(package_name="facet-backend", prog_name="facet")
@click.option("--debug", is_flag=True, help="Show the traceback of an error; so does FACET_DEBUG=1.")
@click.pass_context
def main(ctx: click.Context, debug: bool) -> None:
    """Facet: avatars from photos, and the local cloud they are made in.

    \b
    facet up                     starts everything; Ctrl-C stops it
    facet demo photo.jpg         the tour: from a photo to an avatar
    facet invoke NAME            calls one function
    facet VERB --help            says more of each
    """
    if os.environ.get("NO_COLOR"):
        ctx.color = False
    for argument in sys.argv:
        if not argument.isascii() and any("\ud800" <= letter <= "\udfff" for letter in argument):
            raise click.UsageError(f"{argument!a} is not UTF-8.")
