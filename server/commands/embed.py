"""`paddock embed`: embeddings of texts as JSON."""

import json as json_module
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Annotated

import typer

from server.client.arguments import MODEL
from server.client.connection import connected
from server.client.exit import fail
from server.client.models import ensure_model
from server.client.output import print_json
from server.client.start import ensure_server

_AT_ONCE = 256
"""Lines of a request, which has a limit: results come while a file of any length is read."""


def embed(
    model: Annotated[str, MODEL],
    texts: Annotated[
        list[str] | None, typer.Argument(help="Texts; the lines of stdin without any.")
    ] = None,
    *,
    truncate: Annotated[
        bool,
        typer.Option("--truncate/--no-truncate", help="Cut texts that exceed the context."),
    ] = True,
    dimensions: Annotated[
        int | None, typer.Option(help="Length of the embeddings.", min=1, show_default=False)
    ] = None,
    keepalive: Annotated[
        str, typer.Option(help="Duration to keep a model loaded (e.g. 5m).", show_default=False)
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="Print the whole answer.")] = False,
) -> None:
    """Print the embedding of each text, one JSON array a line."""
    lines = iter(texts or (line.rstrip("\n") for line in sys.stdin))
    if not (some := _next(lines, None if json else _AT_ONCE)):
        fail("there is no text to embed")
    with connected() as client:
        ensure_server(client)
        ensure_model(client, model)
        while some:
            answer = client.embed(
                model, some, truncate=truncate, dimensions=dimensions, keep_alive=keepalive or None
            )
            if json:
                print_json(answer.model_dump(exclude_none=True))
            else:
                for embedding in answer.embeddings:
                    typer.echo(json_module.dumps(list(embedding)))
            some = _next(lines, _AT_ONCE)


def _next(lines: Iterator[str], most: int | None) -> list[str]:
    """Return the next lines, at most so many; all of them for None."""
    return list(islice(lines, most))
