"""The `paddock` command: a typer group whose commands are imported when they are called."""

from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command is, and its help on one line.

    `target` of `server.commands.<module>` is a function, or a `typer.Typer` with subcommands.
    """

    module: str
    target: str
    help: str
    hidden: bool = False


COMMANDS = {
    "serve": Entry("serve", "serve", "Serve models until interrupted."),
    "key": Entry("key", "app", "Create, list and revoke API keys."),
    "export": Entry("archives", "export_model", "Write a model to one file."),
    "import": Entry("archives", "import_models", "Install the models of an archive."),
    "imatrix": Entry("imatrix", "imatrix", "Measure an importance matrix, for quantizing."),
    "verify": Entry("verify", "verify", "Verify every blob, and list the damaged models."),
}
"""All commands, in the order of `paddock --help`. This alone is read for it."""


class LazyCommand(TyperCommand):
    """A command whose module is imported when it is called, completed or asked for its help."""

    def __init__(self, name: str, entry: Entry) -> None:
        super().__init__(name, short_help=entry.help, hidden=entry.hidden)
        self._entry = entry

    def load(self) -> TyperCommand | TyperGroup:
        """Import the command."""
        module = import_module(f"server.commands.{self._entry.module}")
        target = getattr(module, self._entry.target)
        if not isinstance(target, typer.Typer):
            function = target
            target = typer.Typer(add_completion=False, rich_markup_mode=None)
            target.command(self.name)(function)
        command = typer.main.get_command(target)
        assert isinstance(command, TyperCommand | TyperGroup)
        return command

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Parse the arguments with the command itself, which the context then refers to."""
        return self.load().make_context(*args, **kwargs)


class LazyGroup(TyperGroup):
    """The commands of the table."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: LazyCommand(name, entry) for name, entry in COMMANDS.items()}


app = typer.Typer(
    cls=LazyGroup,
    add_completion=False,
    no_args_is_help=True,
    help="Serve and use language models: a drop-in for Ollama's server and command.",
    rich_markup_mode=None,
)


def _show_version(flag: bool) -> None:
    if flag:
        from server.commands.version import show_version  # noqa: PLC0415 - starts the engine

        show_version()
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help="Print the versions of paddock and its engine.",
        ),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


def main() -> None:
    """Run the command line."""
    app()
