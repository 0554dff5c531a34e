"""`paddock verify`: are all blobs still what their names say?"""

from typing import Annotated

import typer

from server.commands.opened import open_store
from server.commands.progress import shown_bytes
from server.commands.refusal import fail, told_errors
from server.references import stored_name


def verify(
    names: Annotated[list[str] | None, typer.Argument(help="Models; all without any.")] = None,
) -> None:
    """Hash every blob, and name the models that are damaged."""
    store = open_store()
    with told_errors(), shown_bytes("hashing", None) as progress:
        hurt = store.verify([stored_name(name) for name in names or ()], progress)
    for model in hurt:
        for digest, damage in model.blobs.items():
            typer.echo(f"{model.name.short}: {digest} {damage.value}")
        if not model.blobs:
            typer.echo(f"{model.name.short}: its manifest is damaged")
    if hurt:
        fail("pull or create the damaged models again")
    typer.echo("all blobs are what their names say")
