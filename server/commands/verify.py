"""`paddock verify`: are all blobs still what their names say?"""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Annotated

import typer

from model_store.errors import StoreError
from model_store.store import Store
from model_store.verify import HurtModel
from server.commands.opened import open_store, read_settings
from server.commands.progress import shown_bytes
from server.commands.refusal import fail, told_errors
from server.config.settings import Settings
from server.library.registry import RegistryService
from server.model_names import stored_name
from server.versions import USER_AGENT


def verify(
    names: Annotated[list[str] | None, typer.Argument(help="Models; all without any.")] = None,
    *,
    repair: Annotated[bool, typer.Option("--repair", help="Pull what is damaged again.")] = False,
) -> None:
    """Hash every blob, and name the models that are damaged."""
    settings = read_settings()
    store = open_store(settings)
    with told_errors(), shown_bytes("hashing", None) as progress:
        hurt = store.verify([stored_name(name) for name in names or ()], progress)
    for model in hurt:
        for digest, damage in model.blobs.items():
            typer.echo(f"{model.name.short}: {digest} {damage.value}")
        if not model.blobs:
            typer.echo(f"{model.name.short}: its manifest is damaged")
    if hurt and not repair:
        fail("pull or create the damaged models again, or let --repair pull them")
    if hurt and not asyncio.run(_repaired(hurt, store, settings)):
        fail("not every model could be repaired")
    typer.echo("all blobs are what their names say")


async def _repaired(hurt: Sequence[HurtModel], store: Store, settings: Settings) -> bool:
    """Pull damaged models again; tell of each, and whether all of them are whole."""
    registry = RegistryService(store, settings.registries(USER_AGENT))
    whole = True
    try:
        for model in hurt:
            try:
                store.remove_damaged(model)
                async with aclosing(registry.pull(model.name)) as steps:
                    async for _ in steps:
                        pass
            except StoreError as e:
                whole = False
                typer.echo(f"{model.name.short}: cannot be repaired: {e}")
            else:
                typer.echo(f"{model.name.short}: repaired")
    finally:
        await registry.close()
    return whole
