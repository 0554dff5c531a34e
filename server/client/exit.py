"""End a command with an error: one line on stderr and exit status 1."""

from typing import NoReturn

import typer


def fail(reason: str, *, status: int = 1) -> NoReturn:
    """Print the reason on one line, and exit with the status."""
    typer.echo(f"Error: {reason}", err=True)
    raise typer.Exit(status)
