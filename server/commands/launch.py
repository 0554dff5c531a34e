"""`paddock launch`: start another program with this server, or write or print its settings."""

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from server.client import environment
from server.client.api import ApiClient
from server.client.completion import complete_model
from server.client.connection import connected
from server.client.exit import fail
from server.client.integrations import (
    ALIASES,
    INTEGRATIONS,
    Connection,
    Integration,
    UnreadableSettings,
    write_settings,
)
from server.client.models import ensure_model
from server.client.output import print_table
from server.client.start import ensure_server

_AGENT_CONTEXT = 32_768


def _names() -> list[str]:
    return list(INTEGRATIONS)


def launch(
    name: Annotated[
        str, typer.Argument(metavar="[INTEGRATION]", autocompletion=_names, show_default=False)
    ] = "",
    extra: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- ARGUMENTS...]", help="Arguments for the program."),
    ] = None,
    *,
    model: Annotated[
        str, typer.Option(help="Model to use.", autocompletion=complete_model, show_default=False)
    ] = "",
    config: Annotated[
        bool, typer.Option("--config", help="Write the settings, and do not start it.")
    ] = False,
    show: Annotated[
        bool, typer.Option("--print", help="Print the settings, and write nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Answer yes to questions.")] = False,
) -> None:
    """Use this server from Claude Code, Codex, opencode, Continue or Open WebUI."""
    if not name:
        print_table(
            ("NAME", "PROGRAM", "SETTINGS"),
            [
                (n, i.title, f"~/{i.file}" if i.file else "environment")
                for n, i in INTEGRATIONS.items()
            ],
            optional=("SETTINGS",),
        )
        return
    integration = INTEGRATIONS.get(ALIASES.get(name, name))
    if integration is None:
        fail(f'unknown program "{name}"; known are: {", ".join(INTEGRATIONS)}')
    connection = _connection(model, needs_tools=integration.title != "Open WebUI")
    if show:
        _print(integration, connection)
        return
    if integration.file:
        _write(integration, connection, yes=yes)
    variables = integration.environment(connection)
    if config or not integration.command:
        if variables:
            _print(integration, connection)
        return
    _start(integration, variables, extra or [])


def _connection(model: str, *, needs_tools: bool) -> Connection:
    with connected() as client:
        ensure_server(client)
        shown = ensure_model(client, model) if model else {}
        if not model:
            model, shown = _best_model(client)
        if needs_tools and "tools" not in (shown.get("capabilities") or ()):
            typer.echo(f"Warning: {model} cannot call tools, which agents need", err=True)
        info = shown.get("model_info") or {}
        context = info.get(f"{info.get('general.architecture')}.context_length") or 0
        if needs_tools and context < _AGENT_CONTEXT:
            typer.echo(
                f"Warning: the context of {model} is {context} tokens; agents need "
                f"{_AGENT_CONTEXT} and more",
                err=True,
            )
        return Connection(client.url, model, int(context), environment.api_key())


def _best_model(client: ApiClient) -> tuple[str, dict[str, Any]]:
    """Return the largest installed model that can call tools."""
    models = sorted(client.installed(), key=lambda m: -m["size"])
    shown = ((m["name"], client.post("/api/show", model=m["name"])) for m in models)
    best = next((m for m in shown if "tools" in (m[1].get("capabilities") or ())), None)
    return best or fail("no installed model can call tools; pull one, and name it with --model")


def _print(integration: Integration, connection: Connection) -> None:
    if integration.file:
        typer.echo(f"# ~/{integration.file}")
        typer.echo(integration.merge("", connection), nl=False)
    for variable, value in integration.environment(connection).items():
        typer.echo(f"export {variable}={shlex.quote(value)}")


def _write(integration: Integration, connection: Connection, *, yes: bool) -> None:
    file = Path.home() / integration.file
    question = f"Write the settings of {integration.title} for {connection.model} to {file}?"
    if not yes and not _agrees(question):
        fail("nothing was written; --print shows the settings")
    try:
        backup = write_settings(file, integration, connection)
    except UnreadableSettings as e:
        fail(f"{file} is left as it is: {e}; --print shows the settings")
    except OSError as e:
        fail(f"{file}: {(e.strerror or 'cannot be written').lower()}")
    typer.echo(f"wrote {file}" + (f"; the settings before are in {backup}" if backup else ""))


def _agrees(question: str) -> bool:
    try:
        return typer.confirm(question, default=True)
    except typer.Abort:
        if sys.stdin.isatty():
            raise
        return fail(
            "nothing was written, as nobody can be asked here; --yes writes the settings, "
            "--print shows them"
        )


def _start(integration: Integration, variables: dict[str, str], extra: list[str]) -> None:
    program = shutil.which(integration.command[0])
    if program is None:
        fail(
            f"{integration.title} is not installed: there is no program "
            f"{integration.command[0]}; --print shows its settings"
        )
    environment.add(variables)
    os.execv(program, [program, *integration.command[1:], *extra])  # noqa: S606 - that is what was asked
