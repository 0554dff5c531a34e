"""`paddock cp`, `paddock rm` and `paddock stop`: copy, remove and unload models."""

from contextlib import suppress
from typing import Annotated

import typer

from server.client.arguments import MODEL, NEW_MODEL
from server.client.connection import connected
from server.client.exit import fail
from server.client.library import ollama

_NOT_FOUND = 404


def copy(
    source: Annotated[str, MODEL],
    destination: Annotated[str, NEW_MODEL],
) -> None:
    """Copy a model."""
    with connected() as client:
        client.copy(source, destination)
    typer.echo(f"copied '{source}' to '{destination}'")


def remove(models: Annotated[list[str], MODEL]) -> None:
    """Remove a model, or several."""
    with connected() as client:
        for model in models:
            with suppress(ollama.ResponseError):
                client.generate(model, keep_alive=0)  # its memory is freed at once
            client.delete(model)
            typer.echo(f"deleted '{model}'")


def stop(model: Annotated[str, MODEL]) -> None:
    """Stop a running model."""
    with connected() as client:
        try:
            client.generate(model, keep_alive=0)
        except ollama.ResponseError as e:
            if e.status_code == _NOT_FOUND:
                fail(f'couldn\'t find model "{model}" to stop')
            raise
