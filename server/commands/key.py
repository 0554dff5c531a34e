"""`paddock key`: create, list and revoke API keys."""

import time
from typing import Annotated

import msgspec
import typer

from server.access.key import DEFAULT_SCOPES, ApiKey, KeyLimits, KeyRequest
from server.access.key_changes import create_key, revoke_key
from server.access.key_file import read_keys
from server.caller import Priority, Scope
from server.commands.console import errors_as_exit
from server.commands.environment import read_settings
from server.config.derived import api_keys_file
from server.native.keys import key_object, validity

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
_COLUMNS = "{:<24} {:<20} {:<12} {:<16} {}"


@app.callback()
def _keys() -> None:
    """Create, list and revoke API keys; a running server notices the change."""


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who or what the key is for.")],
    *,
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="What the key is for; may be repeated.", show_default="infer, read"),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Only these models (* and ?); may be repeated."),
    ] = None,
    expires: Annotated[
        str, typer.Option(metavar="DURATION", help="How long it is valid, such as 30d.")
    ] = "",
    requests_per_minute: Annotated[int, typer.Option(metavar="N", min=0)] = 0,
    tokens_per_minute: Annotated[int, typer.Option(metavar="N", min=0)] = 0,
    max_parallel: Annotated[
        int, typer.Option(metavar="N", min=0, help="Requests at once; 0: without limit.")
    ] = 0,
    priority: Annotated[
        Priority, typer.Option(help="Batch requests are served when no others wait.")
    ] = Priority.INTERACTIVE,
) -> None:
    """Make a key, and print it: it is shown only this once."""
    path = api_keys_file(read_settings())
    with errors_as_exit():
        key, token = create_key(
            path,
            KeyRequest(
                name=name,
                scopes=tuple(scope or DEFAULT_SCOPES),
                models=tuple(models or ()),
                priority=priority,
                limits=KeyLimits(
                    requests_per_minute=requests_per_minute,
                    tokens_per_minute=tokens_per_minute,
                    max_parallel=max_parallel,
                ),
                seconds=validity(expires),
            ),
            time.time(),
        )
    typer.echo(f"made the key {key.name} for {', '.join(key.scopes)} in {path}", err=True)
    typer.echo("clients send it as `Authorization: Bearer KEY`; it is not shown again:", err=True)
    typer.echo(token)


@app.command("list")
def list_keys(
    *, json: Annotated[bool, typer.Option("--json", help="Print JSON, one key a line.")] = False
) -> None:
    """List the keys, revoked ones included."""
    with errors_as_exit():
        keys = read_keys(api_keys_file(read_settings()))
    if not json:
        typer.echo(_COLUMNS.format("NAME", "SCOPES", "STATE", "EXPIRES", "MODELS"))
    for key in keys:
        typer.echo(msgspec.json.encode(key_object(key)).decode() if json else _row(key))


@app.command()
def revoke(name: Annotated[str, typer.Argument(help="The key's name.")]) -> None:
    """Revoke a key; its requests are refused from now on."""
    with errors_as_exit():
        file = api_keys_file(read_settings())
        key = revoke_key(file, name, time.time())
        others = read_keys(file)
    typer.echo(f"revoked the key {key.name}")
    if not any(_state(other) == "valid" for other in others):
        typer.echo(
            "no key is valid now, and requests still need one: make one, or delete "
            f"{file} and restart the server to open it to everybody",
            err=True,
        )


def _state(key: ApiKey) -> str:
    if key.revoked_at:
        return "revoked"
    return "expired" if key.is_expired(time.time()) else "valid"


def _row(key: ApiKey) -> str:
    expires = time.strftime("%Y-%m-%d", time.localtime(key.expires_at)) if key.expires_at else "-"
    models = ",".join(key.models) or "*"
    return _COLUMNS.format(key.name, ",".join(key.scopes), _state(key), expires, models)
