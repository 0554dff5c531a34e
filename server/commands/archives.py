"""`paddock export` and `paddock import`: move models in one file, without a network."""

import os
from pathlib import Path
from typing import Annotated

import typer

from model_store.archive import Archive, Entry, name_of, open_archive
from model_store.names import ModelName
from server.client.exit import fail
from server.commands.console import errors_as_exit
from server.commands.environment import open_store, read_settings
from server.commands.progress import progress_bar
from server.model_names import stored_name


def export_model(
    name: Annotated[str, typer.Argument(help="The model.")],
    file: Annotated[Path, typer.Argument(help="Where to write it; must not exist yet.")],
) -> None:
    """Write a model to one file (a tar in the layout of OCI images)."""
    store = open_store(read_settings())
    with errors_as_exit():
        model = store.resolve(stored_name(name))
        # Told before a large model is read, and with the name that the user knows.
        if not file.absolute().parent.is_dir():
            fail(f"{file}: there is no such folder")
        if file.exists():
            fail(f"{file}: {'is a directory' if file.is_dir() else 'file exists'}")
        part = file.with_name(f".{file.name}.part")
        try:
            with part.open("xb") as target, progress_bar("writing", model.size) as progress:
                store.export(model.name, target, progress)
                target.flush()
                os.fsync(target.fileno())
            os.link(part, file)  # unlike a rename, fails if the file exists
        finally:
            part.unlink(missing_ok=True)
    typer.echo(f"wrote {model.name.short} to {file}")


def import_models(
    file: Annotated[Path, typer.Argument(help="An archive that `paddock export` wrote.")],
    name: Annotated[str, typer.Option(help="Install the model under this name instead.")] = "",
) -> None:
    """Install the models of an archive; every blob is verified."""
    store = open_store(read_settings())
    with errors_as_exit(), open_archive(file) as archive:
        store.prepare()
        for entry, target in _targets(archive, name):
            with progress_bar("reading", archive.size(entry)) as progress:
                store.import_model(archive, entry, target, progress)
            typer.echo(f"installed {target.short}")


def _targets(archive: Archive, name: str) -> list[tuple[Entry, ModelName]]:
    if not name:
        return [(entry, name_of(entry)) for entry in archive.entries]
    if len(archive.entries) != 1:
        fail(f"the archive holds {len(archive.entries)} models, so --name cannot name them")
    return [(archive.entries[0], stored_name(name))]
