"""`facet completion`: lets a shell complete verbs, options and names."""

import os
from pathlib import Path

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS), required=False)
def completion(shell: str | None) -> None:
    """Print the script that completes names in SHELL.

    \b
    eval "$(facet completion bash)"      in ~/.bashrc
    eval "$(facet completion zsh)"       in ~/.zshrc, after compinit
    facet completion fish > ~/.config/fish/completions/facet.fish
    """
    shell = shell or Path(os.environ.get("SHELL", "")).name
    found = get_completion_class(shell) if shell in SHELLS else None
    if found is None:
        raise click.UsageError(f"Which shell? {', '.join(SHELLS)}.")
    root = click.get_current_context().find_root()
    click.echo(found(root.command, {}, "facet", "_FACET_COMPLETE").source())
