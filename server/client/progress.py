"""Progress of pulls, pushes and creates: a bar per layer on terminals, plain lines in pipes."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column
from rich.text import Text

from server.client.library import ollama
from server.client.output import console

_NARROW = 70
_REST, _REST_NARROW = 47, 13
"""Columns of the terminal that the name of a step leaves for the others, a short bar included."""

_DIGEST = slice(7, 19)
_DIGESTS = re.compile(r"sha256:([0-9a-f]{12})[0-9a-f]{52}")


class _WhileTransferring(ProgressColumn):
    """Another column, empty for steps without a size."""

    def __init__(self, column: ProgressColumn, *, shrinks: bool = False) -> None:
        super().__init__(Column(no_wrap=not shrinks))
        self._column = column

    def render(self, task: Task) -> Text | str:
        """Return the cell of a task."""
        return self._column.render(task) if task.total else ""  # type: ignore[return-value]


class LayerProgress:
    """Shows the steps of one operation; layers that move at the same time have a bar each."""

    def __init__(self, verb: str, bars: Progress | None) -> None:
        self._verb = verb
        self._bars = bars
        self._layers: dict[str, TaskID] = {}
        self._step: TaskID | None = None
        self._status = ""

    def show(self, step: ollama.ProgressResponse) -> None:
        """Show a step of the stream."""
        if step.digest:
            self._show_layer(step)
        elif step.status and step.status != self._status:
            self._status = step.status
            self.start(step.status)

    def start(self, status: str) -> None:
        """Begin a step without a size; the one before it is done."""
        self.finish_step()
        if self._bars is None:
            typer.echo(status, err=True)
        else:
            # A long line would leave the bars no room.
            self._step = self._bars.add_task(_DIGESTS.sub(r"\1", status), total=None)

    def finish_step(self) -> None:
        """Stop the spinner of the present step."""
        if self._bars is not None and self._step is not None:
            self._bars.update(self._step, total=0, completed=0)
            self._step = None

    def _show_layer(self, step: ollama.ProgressResponse) -> None:
        digest = step.digest or ""
        if self._bars is None:
            if digest not in self._layers:
                self._layers[digest] = TaskID(0)
                typer.echo(f"{self._verb} {_short(digest)}", err=True)
            return
        if digest not in self._layers:
            self.finish_step()
            self._layers[digest] = self._bars.add_task(f"{self._verb} {_short(digest)}")
        self._bars.update(self._layers[digest], total=step.total, completed=step.completed or 0)

    def show_file(self, step: str, completed: int, size: int) -> None:
        """Show how far a step with one file is, such as its upload; in bytes."""
        self.finish_step()
        if step not in self._layers:
            if self._bars is None:
                typer.echo(step, err=True)
            self._layers[step] = self._bars.add_task(step) if self._bars else TaskID(0)
        if self._bars is not None:
            self._bars.update(self._layers[step], total=size or None, completed=completed)


def _short(digest: str) -> str:
    return digest[_DIGEST] if digest.startswith("sha256:") else digest


@contextmanager
def layer_progress(verb: str) -> Iterator[LayerProgress]:
    """Yield what shows the steps of an operation, on stderr."""
    out = console(stderr=True)
    if not out.is_terminal:
        yield LayerProgress(verb, None)
        return
    is_narrow = out.width < _NARROW
    rest = _REST_NARROW if is_narrow else _REST
    step = Column(no_wrap=True, overflow="ellipsis", max_width=max(out.width - rest, rest))
    columns: list[ProgressColumn] = [
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description}", markup=False, table_column=step),
        _WhileTransferring(BarColumn(bar_width=None if is_narrow else 30), shrinks=True),
        _WhileTransferring(TextColumn("{task.percentage:>3.0f}%")),
    ]
    if not is_narrow:
        columns += [
            _WhileTransferring(DownloadColumn()),
            _WhileTransferring(TransferSpeedColumn()),
            _WhileTransferring(TimeRemainingColumn(compact=True)),
        ]
    with Progress(*columns, console=out, expand=False) as bars:
        progress = LayerProgress(verb, bars)
        yield progress
        progress.finish_step()


def show_steps(verb: str, steps: Iterable[ollama.ProgressResponse]) -> None:
    """Show a stream of steps to its end."""
    with layer_progress(verb) as progress:
        for step in steps:
            progress.show(step)
