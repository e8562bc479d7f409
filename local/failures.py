"""What went wrong, as one message: what happened, why, and the next command."""

import errno

import click

_ADVICE = {
    errno.ENOSPC: "next: free some space; `facet doctor` tells how much there is",
    errno.EDQUOT: "next: free some space, your quota is used up",
    errno.EACCES: "next: give yourself the right to it, or let FACET_STATE name another",
    errno.EPERM: "next: give yourself the right to it, or let FACET_STATE name another",
    errno.EROFS: "next: let FACET_STATE name a folder that can be written",
    errno.EMFILE: "next: allow more open files: ulimit -n 4096",
}


def told(exc: Exception) -> str | None:
    """The message for this failure; None for what click itself has words for."""
    while isinstance(exc, ExceptionGroup):
        exc = exc.exceptions[0]
    if isinstance(exc, click.ClickException | click.exceptions.Exit | click.Abort | BrokenPipeError):
        return None
    if type(exc).__module__.startswith("local."):
        return str(exc)
    if isinstance(exc, ModuleNotFoundError):
        return f"The package {exc.name} is missing from this Python.\nnext: `make up` in the project installs it"
    if isinstance(exc, OSError) and exc.strerror:
        what = f"{exc.filename}: {exc.strerror}" if exc.filename else exc.strerror
        return "\n".join([what, *filter(None, [_ADVICE.get(exc.errno or 0)])])
    return (
        f"This is a fault of Facet's own: {type(exc).__name__}: {exc}\n"
        "next: `facet --debug …` shows where; please report it"
    )
