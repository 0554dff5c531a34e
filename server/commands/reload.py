"""`paddock reload`: let the server read its configuration again."""

import typer

from server.client.api import ForeignServer
from server.client.connection import connected


def reload() -> None:
    """Let the server read its configuration again."""
    with connected() as client:
        outcome = client.post("/api/reload")
        if "changed" not in outcome:
            raise ForeignServer
    changes = [*outcome["changed"], *(["models"] if outcome["models_changed"] else [])]
    typer.echo(f"changed: {', '.join(changes) or 'nothing'}")
    if names := outcome["need_restart"]:
        typer.echo(
            f"changed in the configuration, but need a restart: {', '.join(names)}", err=True
        )
