"""The `facet` command line: its verbs, each imported when it is asked for."""

import importlib
import sys
from typing import ClassVar

import click


class Verbs(click.Group):
    """Commands by name, in modules of `local.verbs`: a short verb does not pay for the imports of the others."""

    modules: ClassVar[dict[str, tuple[str, ...]]] = {
        "stack": ("up", "down", "status", "doctor", "reset"),
        "env": ("env",),
        "demo": ("demo",),
        "functions": ("functions", "routes", "invoke"),
        "event": ("event",),
        "logs": ("logs",),
        "records": ("records", "show"),
        "replay": ("replay", "save"),
        "debug": ("vscode",),
        "trace": ("trace",),
        "internal": ("migrate", "revision", "token"),
        "keys": ("apikey",),
        "users": ("user",),
        "tasks": ("task",),
        "queues": ("queue",),
        "send": ("send",),
        "schedules": ("schedule",),
        "legacy": ("import-legacy",),
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which somebody new meets them."""
        return [name for names in self.modules.values() for name in names]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for module, names in self.modules.items():
            if cmd_name in names:
                found = getattr(importlib.import_module(f"local.verbs.{module}"), cmd_name.replace("-", "_"))
                assert isinstance(found, click.Command)
                return found
        return None


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="facet-backend", prog_name="facet")
def main() -> None:
    """Facet: avatars from photos, and the local cloud they are made in."""
    for argument in sys.argv:
        if not argument.isascii() and any("\ud800" <= letter <= "\udfff" for letter in argument):
            raise click.UsageError(f"{argument!a} is not UTF-8.")
