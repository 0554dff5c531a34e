"""`paddock pull`, `paddock push` and `paddock update`: models from and to registries."""

from typing import Annotated, Any

import typer

from server.client import human
from server.client.api import ApiClient
from server.client.arguments import MODEL, NEW_MODEL, without_empty
from server.client.completion import complete_model
from server.client.connection import connected
from server.client.exit import fail
from server.client.library import ollama
from server.client.output import print_json, print_table
from server.client.progress import show_steps
from server.client.start import ensure_server

_DENIED = ("access denied", "unauthorized")
Insecure = Annotated[bool, typer.Option("--insecure", help="Use an insecure registry.")]


def pull(model: Annotated[str, NEW_MODEL], *, insecure: Insecure = False) -> None:
    """Pull a model from a registry; an interrupted pull goes on where it was."""
    with connected() as client:
        ensure_server(client)
        show_steps("pulling", client.pull(model, insecure=insecure, stream=True))


def push(
    model: Annotated[str, MODEL],
    *,
    insecure: Insecure = False,
) -> None:
    """Push a model to a registry."""
    with connected() as client:
        try:
            show_steps("pushing", client.push(model, insecure=insecure, stream=True))
        except ollama.ResponseError as e:
            if any(text in str(e.error).lower() for text in _DENIED):
                fail(
                    "you are not authorized to push to this namespace, create the model under a "
                    "namespace you own"
                )
            raise
    typer.echo(f"\nYou can find your model at:\n\n\t{_destination(model)}")


def _destination(model: str) -> str:
    """Return where a pushed model is: on a web page, or in the registry of its name."""
    parts = model.split("/")
    has_host = len(parts) > 2 or "." in parts[0] or ":" in parts[0]
    if has_host and parts[0] not in ("ollama.com", "registry.ollama.ai"):
        return model
    return "https://ollama.com/" + "/".join(parts[1:] if has_host else parts).removesuffix(
        ":latest"
    )


def update(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            help="Models; all without any.",
            autocompletion=complete_model,
            callback=without_empty,
        ),
    ] = None,
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Tell what is outdated, and download nothing.")
    ] = False,
    insecure: Insecure = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON (with --check).")] = False,
) -> None:
    """Pull the newest version of installed models."""
    with connected() as client:
        names = models or [m["name"] for m in client.installed()]
        if check:
            _print_check([_checked(client, name, insecure=insecure) for name in names], json=json)
            return
        failed = [name for name in names if not _updated(client, name, insecure=insecure)]
    if failed and models:
        fail(f"not updated: {', '.join(failed)}")


def _checked(client: ApiClient, name: str, *, insecure: bool) -> dict[str, Any]:
    """Return what an update of a model would download, or why there is none."""
    try:
        sizes = client.post("/api/pull", model=name, insecure=insecure, dry_run=True, stream=False)
    except ollama.ResponseError as e:
        return {"model": name, "status": "unknown", "error": str(e.error)}
    if "missing" not in sizes:
        fail("this server cannot tell what an update would download")
    status = "outdated" if sizes["missing"] else "current"
    return {"model": name, "status": status, "download": sizes["missing"]}


def _print_check(results: list[dict[str, Any]], *, json: bool) -> None:
    if json:
        print_json({"models": results})
        return
    rows = [
        (
            result["model"],
            result["status"],
            human.size(result["download"]) if result.get("download") else result.get("error", ""),
        )
        for result in results
    ]
    print_table(("NAME", "STATUS", "DOWNLOAD"), rows)


def _updated(client: ApiClient, name: str, *, insecure: bool) -> bool:
    """Pull a model; one that the registry does not have is told and left as it is."""
    typer.echo(f"{name}:")
    try:
        show_steps("pulling", client.pull(name, insecure=insecure, stream=True))
    except ollama.ResponseError as e:
        typer.echo(f"Warning: {name} is left as it is: {e.error}", err=True)
        return False
    return True
