"""`paddock --version`: the versions of paddock, of its engine, and the engine's CPU variant."""

from collections.abc import Callable

import typer

from runners.host.engine_description import EngineUnavailable, describe_engine
from runners.protocol.engine_description import EngineDescription
from server.versions import PADDOCK


def show_version(describe: Callable[[], EngineDescription] = describe_engine) -> None:
    """Print paddock's version, then the engine's or why it cannot be started."""
    typer.echo(f"paddock {PADDOCK}")
    try:
        typer.echo(f"engine: {describe()}")
    except EngineUnavailable as e:
        typer.echo(f"engine: not available ({e})")
