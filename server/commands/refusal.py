"""The end of a command that cannot do what was asked."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from model_store.errors import StoreError
from server.errors import ServerError


def fail(reason: str) -> NoReturn:
    """Say why on one line, and end with status 1."""
    typer.echo(f"paddock: {reason}", err=True)
    raise typer.Exit(1)


@contextmanager
def told_errors() -> Iterator[None]:
    """End the command with one line on what goes wrong within."""
    try:
        yield
    except (StoreError, ServerError) as e:
        fail(str(e))
    except OSError as e:
        fail(f"{e.filename2 or e.filename}: {(e.strerror or 'failed').lower()}")
