"""`paddock cp`, `paddock rm` and `paddock stop`: copy, remove and unload models."""

from contextlib import suppress
from typing import Annotated

import ollama
import typer

from server.client.completion import complete_model
from server.client.connection import connected
from server.client.exit import fail

_NOT_FOUND = 404


def copy(
    source: Annotated[str, typer.Argument(autocompletion=complete_model)],
    destination: Annotated[str, typer.Argument()],
) -> None:
    """Copy a model."""
    with connected() as client:
        client.copy(source, destination)
    typer.echo(f"copied '{source}' to '{destination}'")


def remove(models: Annotated[list[str], typer.Argument(autocompletion=complete_model)]) -> None:
    """Remove a model, or several."""
    with connected() as client:
        for model in models:
            with suppress(ollama.ResponseError):
                client.generate(model, keep_alive=0)  # its memory is freed at once
            client.delete(model)
            typer.echo(f"deleted '{model}'")


def stop(model: Annotated[str, typer.Argument(autocompletion=complete_model)]) -> None:
    """Stop a running model."""
    with connected() as client:
        try:
            client.generate(model, keep_alive=0)
        except ollama.ResponseError as e:
            if e.status_code == _NOT_FOUND:
                fail(f'couldn\'t find model "{model}" to stop')
            raise
