"""Models that a command needs: what they can do, pulled if they are missing."""

from typing import Any

from server.client.api import ApiClient
from server.client.library import ollama
from server.client.progress import show_steps

_NOT_FOUND = 404


def ensure_model(client: ApiClient, model: str, *, insecure: bool = False) -> dict[str, Any]:
    """Return what /api/show tells of a model, which is pulled if the server does not have it."""
    try:
        return client.post("/api/show", model=model)
    except ollama.ResponseError as e:
        if e.status_code != _NOT_FOUND:
            raise
    try:
        show_steps("pulling", client.pull(model, insecure=insecure, stream=True))
    except ollama.ResponseError as e:
        if similar := _similar(client, model):
            text = f"{e.error}; did you mean {' or '.join(similar)}?"
            raise ollama.ResponseError(text, e.status_code) from None
        raise
    return client.post("/api/show", model=model)


def _similar(client: ApiClient, model: str) -> list[str]:
    """Return the installed models whose names a typing error could have made this one."""
    from difflib import get_close_matches  # noqa: PLC0415 - seldom needed

    installed = [entry["name"].removesuffix(":latest") for entry in client.installed()]
    return get_close_matches(model.removesuffix(":latest"), installed)
