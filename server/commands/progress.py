"""Progress bars on stderr, by rich."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn


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
