"""`paddock usage`: what each API key has used, by day and model."""

import time
from typing import Annotated

import msgspec
import typer

from server.access.usage import read_usage
from server.commands.console import errors_as_exit
from server.commands.environment import read_settings
from server.config.derived import usage_file

_COLUMNS = "{:<11} {:<20} {:<32} {:>9} {:>7} {:>13} {:>16}"


def usage(
    *,
    days: Annotated[int, typer.Option(help="Of how many days.", min=1, max=366)] = 30,
    key: Annotated[str, typer.Option(help="Of this key alone.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print JSON, one row a line.")] = False,
) -> None:
    """Print the requests and tokens of each API key, by day (UTC) and model, the newest first."""
    with errors_as_exit():
        rows = read_usage(usage_file(read_settings()), time.time(), days, key)
    if not json:
        names = ("DAY", "KEY", "MODEL", "REQUESTS", "ERRORS", "PROMPT TOKENS", "GENERATED TOKENS")
        typer.echo(_COLUMNS.format(*names))
    for row in rows:
        if json:
            typer.echo(msgspec.json.encode(row._asdict()).decode())
        else:
            typer.echo(_COLUMNS.format(*row._replace(model=row.model or "-")))
