"""`paddock config show` and `check`: what holds and from where, and mistakes in a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from model_store.served import ServedAs
from model_store.serving import Serving
from server.client.exit import fail
from server.commands.environment import check_settings, read_configuration, use_config
from server.config.settings import VARIABLES
from server.config.variables import SettingError, Variable
from server.config_file.configuration import ConfigFile

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
_SECRETS = frozenset({"HF_TOKEN"})
_FILE = typer.Argument(help="The file, instead of PADDOCK_CONFIG.", show_default=False)


@app.command()
def show(file: Annotated[Path | None, _FILE] = None) -> None:
    """Print the settings that hold, and where each is from."""
    environment = use_config(file)
    try:
        config = read_configuration(environment).file
    except SettingError as e:
        fail(str(e))
    typer.echo(f"configuration file: {config.document.path if config else 'none'}")
    for variable in VARIABLES:
        text, origin = _holds(variable, environment, config)
        typer.echo(f"{variable.name:<28}{text:<32} {origin}".rstrip())
    if config is not None:
        _show_models(config.serving)


@app.command()
def check(file: Annotated[Path | None, _FILE] = None) -> None:
    """Check the settings and the configuration file strictly; exit with 1 on a mistake."""
    use_config(file)
    check_settings()


def _holds(
    variable: Variable, environment: Mapping[str, str], config: ConfigFile | None
) -> tuple[str, str]:
    """Return the text of a setting, and where it is from."""
    if text := variable.text(environment):
        origin = "environment"
    elif config is not None and variable.name in config.texts:
        text = config.texts[variable.name]
        origin = f"{config.document.path}:{config.line_of(variable)}"
    else:
        return variable.shown_default or "-", "default"
    return ("(set)" if variable.name in _SECRETS else variable.without_passwords(text)), origin


def _show_models(serving: Serving) -> None:
    for alias, target in serving.aliases.items():
        typer.echo(f"alias {alias.short} -> {target.short}")
    for name, served_as in serving.models.items():
        typer.echo(f"model {name.short}: {_described(served_as)}")


def _described(served_as: ServedAs) -> str:
    parts = [f"{name} {value}" for name, value in served_as.options.items()]
    if served_as.keep_alive is not None:
        parts.append(f"keep_alive {served_as.keep_alive:g} s")
    parts += [
        f"{name} {value}"
        for name, value in (
            ("parallel", served_as.parallel),
            ("max_context", served_as.max_context),
        )
        if value
    ]
    parts += ["pinned"] if served_as.is_pinned else ["preloaded"] if served_as.is_preloaded else []
    parts += [f"group {int(group) + 1}" for group in sorted(served_as.groups)]
    return ", ".join(parts)
