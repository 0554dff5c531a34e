"""`paddock verify`: check every blob against its digest, and repair damaged models."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Annotated

import typer

from model_store.errors import StoreError
from model_store.store import Store
from model_store.verify import HurtModel
from server.commands.console import errors_as_exit, fail, progress_bar
from server.commands.environment import open_store, read_settings
from server.config.settings import Settings
from server.library.registry import RegistryService
from server.model_names import stored_name
from server.versions import USER_AGENT


def verify(
    names: Annotated[list[str] | None, typer.Argument(help="Models; all without any.")] = None,
    *,
    repair: Annotated[bool, typer.Option("--repair", help="Pull what is damaged again.")] = False,
) -> None:
    """Verify every blob, and list the damaged models."""
    settings = read_settings()
    store = open_store(settings)
    with errors_as_exit(), progress_bar("hashing", None) as progress:
        hurt = store.verify([stored_name(name) for name in names or ()], progress)
    for model in hurt:
        for digest, damage in model.blobs.items():
            typer.echo(f"{model.name.short}: {digest} {damage.value}")
        if not model.blobs:
            typer.echo(f"{model.name.short}: its manifest is damaged")
    if hurt and not repair:
        fail("pull or create the damaged models again, or let --repair pull them")
    if hurt and not asyncio.run(_repair(hurt, store, settings)):
        fail("not every model could be repaired")
    typer.echo("all blobs match their digests")


async def _repair(hurt: Sequence[HurtModel], store: Store, settings: Settings) -> bool:
    """Pull damaged models again and print each result; return whether all are repaired."""
    registry = RegistryService(store, settings.registries(USER_AGENT))
    all_repaired = True
    try:
        for model in hurt:
            try:
                store.remove_damaged(model)
                async with aclosing(registry.pull(model.name)) as steps:
                    async for _ in steps:
                        pass
            except StoreError as e:
                all_repaired = False
                typer.echo(f"{model.name.short}: cannot be repaired: {e}")
            else:
                typer.echo(f"{model.name.short}: repaired")
    finally:
        await registry.close()
    return all_repaired
