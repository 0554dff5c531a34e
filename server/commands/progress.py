"""A bar that shows how far a command is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn


@contextmanager
def shown_bytes(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show `what` and how many of `total` bytes are done; gives what is told of more.

    `total` None is not known beforehand. The bar goes to the error stream, if that is a terminal.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    console = Console(stderr=True)
    hidden = not console.is_terminal
    with Progress(
        *columns, TransferSpeedColumn(), console=console, transient=True, disable=hidden
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda n: bar.advance(task, n)
