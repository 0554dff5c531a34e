"""`paddock list`, `paddock ps` and `paddock search`: installed and loaded models as tables."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from server.client import human
from server.client.completion import complete_model
from server.client.connection import connected
from server.client.output import print_json, print_table

_ID_LENGTH = 12
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def list_models(
    prefix: Annotated[
        str, typer.Argument(help="Only models whose name begins like this.", show_default=False)
    ] = "",
    *,
    json: Json = False,
) -> None:
    """List models."""
    with connected() as client:
        models = client.installed()
    _print_models([m for m in models if m["name"].lower().startswith(prefix.lower())], json=json)


def search(
    words: Annotated[
        list[str], typer.Argument(help="Parts of a name, a family, a size, a quantization.")
    ],
    *,
    json: Json = False,
) -> None:
    """List the installed models that have all words in their name or details."""
    with connected() as client:
        models = client.installed()
    found = [m for m in models if all(word.lower() in _searched(m) for word in words)]
    _print_models(found, json=json)
    if not found:
        raise typer.Exit(1)


def _searched(model: dict[str, Any]) -> str:
    details = model.get("details") or {}
    texts = (model["name"], *map(str, details.values()), *(model.get("capabilities") or ()))
    return " ".join(texts).lower()


def _print_models(models: list[dict[str, Any]], *, json: bool) -> None:
    if json:
        print_json({"models": models})
        return
    rows = [
        (m["name"], m["digest"][:_ID_LENGTH], _size(m), human.time(_moment(m["modified_at"])))
        for m in models
    ]
    header = ("NAME", "ID", "SIZE", "MODIFIED")
    print_table(header, rows, optional=("ID", "MODIFIED", "SIZE"))


def _size(model: dict[str, Any]) -> str:
    """Return the size; models that run elsewhere have none here."""
    return "-" if model.get("remote_model") else human.size(model["size"])


def list_loaded(
    prefix: Annotated[
        str,
        typer.Argument(
            help="Only models whose name begins like this.",
            autocompletion=complete_model,
            show_default=False,
        ),
    ] = "",
    *,
    json: Json = False,
) -> None:
    """List running models."""
    with connected() as client:
        models = client.loaded()
    models = [m for m in models if m["name"].startswith(prefix)]
    if json:
        print_json({"models": models})
        return
    rows = [
        (
            m["name"],
            m["digest"][:_ID_LENGTH],
            human.size(m["size"]),
            _processor(m),
            str(m.get("context_length") or ""),
            _until(_moment(m["expires_at"])),
        )
        for m in models
    ]
    header = ("NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL")
    print_table(header, rows, optional=("ID", "CONTEXT", "PROCESSOR", "UNTIL", "SIZE"))


def _processor(model: dict[str, Any]) -> str:
    size, on_gpu = model["size"], model["size_vram"]
    if on_gpu == 0:
        return "100% CPU"
    if on_gpu == size:
        return "100% GPU"
    if on_gpu > size:
        return "Unknown"
    on_cpu = round((size - on_gpu) / size * 100)
    return f"{on_cpu}%/{100 - on_cpu}% CPU/GPU"


def _until(moment: datetime) -> str:
    return "Stopping..." if moment < datetime.now(UTC) else human.time(moment)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
