"""`paddock verify`: check every blob against its digest, and repair damaged models."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Annotated

import typer

from model_store.errors import StoreError
from model_store.store import Store
from model_store.verify import DamagedModel
from server.client.exit import fail
from server.commands.console import errors_as_exit
from server.commands.environment import open_store, read_settings
from server.commands.progress import progress_bar
from server.config.derived import registry_config
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
        damaged = store.verify([stored_name(name) for name in names or ()], progress)
    for model in damaged:
        for digest, damage in model.blobs.items():
            typer.echo(f"{model.name.short}: {digest} {damage.value}")
        if not model.blobs:
            typer.echo(f"{model.name.short}: its manifest is damaged")
    if damaged and not repair:
        fail("pull or create the damaged models again, or let --repair pull them")
    if damaged and not asyncio.run(_repair(damaged, store, settings)):
        fail("not every model could be repaired")
    typer.echo("all blobs match their digests")


async def _repair(damaged: Sequence[DamagedModel], store: Store, settings: Settings) -> bool:
    """Pull damaged models again and print each result; return whether all are repaired.

    A damaged blob stays where it is until a good one takes its place: it may be the only copy.
    """
    registry = RegistryService(store, registry_config(settings, USER_AGENT))
    failures: dict[DamagedModel, StoreError] = {}
    try:
        for model in damaged:
            try:
                if not _is_whole(store, model):
                    await _pull(registry, model)
            except StoreError as e:
                failures[model] = e
            else:
                typer.echo(f"{model.name.short}: repaired")
    finally:
        await registry.close()
    for model, error in list(failures.items()):
        # What was pulled for another model may have been all that was missing here.
        if _is_whole(store, model):
            del failures[model]
            typer.echo(f"{model.name.short}: repaired")
        else:
            typer.echo(f"{model.name.short}: cannot be repaired: {error}")
    return not failures


def _is_whole(store: Store, model: DamagedModel) -> bool:
    return bool(model.blobs) and all(map(store.is_intact, model.blobs))


async def _pull(registry: RegistryService, model: DamagedModel) -> None:
    async with aclosing(registry.pull(model.name)) as steps:
        async for _ in steps:
            pass
