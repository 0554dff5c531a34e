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
    show_steps("pulling", client.pull(model, insecure=insecure, stream=True))
    return client.post("/api/show", model=model)
