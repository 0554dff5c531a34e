"""Console output of commands: one-line errors with exit status 1, and progress bars."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

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


@contextmanager
def progress_bar(text: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show a bar with `text` and how many of `total` bytes are done; yields what advances it.

    `total` is None where it is not known. The bar is on stderr, and hidden unless that is a
    terminal.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    console = Console(stderr=True)
    hidden = not console.is_terminal
    with Progress(
        *columns, TransferSpeedColumn(), console=console, transient=True, disable=hidden
    ) as bar:
        task = bar.add_task(text, total=total)
        yield lambda n: bar.advance(task, n)
