"""Console output of commands: one-line errors with exit status 1."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from model_store.errors import StoreError
from server.errors import ServerError


def fail(reason: str) -> NoReturn:
    """Print the reason on one line, and exit with status 1."""
    typer.echo(f"paddock: {reason}", err=True)
    raise typer.Exit(1)


@contextmanager
def errors_as_exit() -> Iterator[None]:
    """Exit with the reason of an error that is raised within."""
    try:
        yield
    except (StoreError, ServerError) as e:
        fail(str(e))
    except OSError as e:
        fail(f"{e.filename2 or e.filename}: {(e.strerror or 'failed').lower()}")
