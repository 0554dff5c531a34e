"""Output of commands: plain text for pipes, tables and colours for terminals, JSON for programs."""

import json
import sys
from collections.abc import Sequence
from typing import Any

import typer
from rich.cells import cell_len
from rich.console import Console

_GAP = "    "


def is_terminal() -> bool:
    """Whether a person reads stdout."""
    return sys.stdout.isatty()


def console(*, stderr: bool = False, soft_wrap: bool = True) -> Console:
    """Return a console on the present stdout or stderr; it writes no colour to a pipe.

    With `soft_wrap` lines are left to the terminal, else words are wrapped.
    """
    return Console(stderr=stderr, highlight=False, soft_wrap=soft_wrap)


def print_json(value: Any) -> None:
    """Print a value as JSON: indented for a person, on one line in a pipe."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2 if is_terminal() else None))


def print_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, optional: Sequence[str] = ()
) -> None:
    """Print rows below a header, columns aligned with four blanks between.

    On a terminal too narrow for all, the `optional` columns are left out, the first ones first;
    others are never cut, so that names can be copied.
    """
    out = console()
    columns = list(range(len(header)))
    widths = [max(map(cell_len, cells)) for cells in zip(header, *rows, strict=True)]
    for name in optional if out.is_terminal else ():
        if sum(widths[c] for c in columns) + len(_GAP) * (len(columns) - 1) > out.width:
            columns.remove(header.index(name))
    out.print(_line(header, columns, widths), markup=False, style="bold")
    for row in rows:
        out.print(_line(row, columns, widths), markup=False)


def _line(cells: Sequence[str], columns: Sequence[int], widths: Sequence[int]) -> str:
    padded = (cells[c] + " " * (widths[c] - cell_len(cells[c])) for c in columns)
    return _GAP.join(padded).rstrip()
