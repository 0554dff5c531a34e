"""The `paddock` command: a typer group whose commands are imported when they are called."""

import gc
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


_SETTINGS = {"help_option_names": ["--help", "-h"]}

COMMANDS = {
    "serve": Entry("serve", "serve", "Serve models until interrupted."),
    "start": Entry("serve", "serve", "The same as serve.", hidden=True),
    "run": Entry("run", "run", "Run a model."),
    "chat": Entry("chat", "chat", "Hold a conversation that can be continued."),
    "create": Entry("create", "create", "Create a model."),
    "show": Entry("show", "show", "Show information for a model."),
    "stop": Entry("changes", "stop", "Stop a running model."),
    "pull": Entry("transfers", "pull", "Pull a model from a registry."),
    "push": Entry("transfers", "push", "Push a model to a registry."),
    "update": Entry("transfers", "update", "Pull the newest version of installed models."),
    "list": Entry("listing", "list_models", "List models."),
    "ls": Entry("listing", "list_models", "List models.", hidden=True),
    "search": Entry("listing", "search", "Search the installed models."),
    "ps": Entry("listing", "list_loaded", "List running models."),
    "cp": Entry("changes", "copy", "Copy a model."),
    "rm": Entry("changes", "remove", "Remove a model, or several."),
    "embed": Entry("embed", "embed", "Print embeddings of texts."),
    "launch": Entry("launch", "launch", "Use this server from a coding agent or a web interface."),
    "bench": Entry("bench", "bench", "Measure the speed of models."),
    "doctor": Entry("doctor", "doctor", "Check this machine and the server, and say what to do."),
    "health": Entry("health", "health", "Check that the server is ready, and exit with 0 or 1."),
    "help": Entry("guide", "help_or_guide", "Show help, or ask the bundled guide a question."),
    "config": Entry("config", "app", "Show or check the configuration."),
    "reload": Entry("reload", "reload", "Let the server read its configuration again."),
    "key": Entry("key", "app", "Create, list and revoke API keys."),
    "usage": Entry("usage", "usage", "Print what each API key has used."),
    "export": Entry("archives", "export_model", "Write a model to one file."),
    "import": Entry("archives", "import_models", "Install the models of an archive."),
    "imatrix": Entry("imatrix", "imatrix", "Measure an importance matrix, for quantizing."),
    "verify": Entry("verify", "verify", "Verify every blob, and list the damaged models."),
}
"""All commands, in the order of `paddock --help`. This alone is read for it."""


OPTIONAL_VALUES = {"--think": "true"}
"""Options whose value may be left out; a value stands behind `=`, never in a word of its own."""

_TRUE = frozenset({"1", "t", "true"})
_FALSE = frozenset({"0", "f", "false"})


class Command(TyperCommand):
    """A command that takes flags as Go's commands do: `--think`, `--verbose=true`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments."""
        end = args.index("--") if "--" in args else len(args)
        flags = {
            option: parameter
            for parameter in self.params
            if getattr(parameter, "is_flag", False)
            for option in parameter.opts
        }
        words = [word for arg in args[:end] for word in _usual_form(arg, flags)]
        return super().parse_args(ctx, [*words, *args[end:]])


def _usual_form(arg: str, flags: dict[str, Any]) -> list[str]:
    """Return an argument of the command line in the form that typer knows."""
    if arg in OPTIONAL_VALUES:
        return [f"{arg}={OPTIONAL_VALUES[arg]}"]
    name, mark, value = arg.partition("=")
    if not mark or name not in flags or value.lower() not in _TRUE | _FALSE:
        return [arg]
    return [name] if value.lower() in _TRUE else flags[name].secondary_opts[:1]


class LazyCommand(TyperCommand):
    """A command whose module is imported when it is called, completed or asked for its help."""

    def __init__(self, name: str, entry: Entry) -> None:
        super().__init__(name, short_help=entry.help, hidden=entry.hidden)
        self._entry = entry

    def load(self) -> TyperCommand | TyperGroup:
        """Import the command."""
        # What modules define stays: to look through it for garbage, during the imports and ever
        # after, takes a tenth of the time that a start takes.
        gc.disable()
        try:
            module = import_module(f"server.commands.{self._entry.module}")
        finally:
            gc.enable()
        gc.freeze()
        target = getattr(module, self._entry.target)
        if not isinstance(target, typer.Typer):
            function = target
            target = typer.Typer(add_completion=False, rich_markup_mode=None)
            target.command(self.name, cls=Command, context_settings=_SETTINGS)(function)
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
    no_args_is_help=True,
    help="Serve and use language models: a drop-in for Ollama's server and command.",
    rich_markup_mode=None,
    context_settings=_SETTINGS,
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
            "-v",
            callback=_show_version,
            is_eager=True,
            help="Print the versions of paddock and its engine.",
        ),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


def main() -> None:
    """Run the command line."""
    app(prog_name="paddock")
