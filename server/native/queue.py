"""Replies of /api/queue, /api/requests and /api/unload."""

import time
from collections.abc import Iterable, Mapping

import msgspec

from server.library.request_queue import RequestProgress
from server.text.timestamps import local_time


class QueuedRequest(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A request that waits for a model or uses one.

    `ratio` of the load or of the prompt is done. Tokens are 0 until the prompt is tokenized. One in
    the `background` runs only while no others do. `key` is the name of the API key, if any.
    """

    id: str
    route: str
    model: str
    phase: str
    created_at: str
    age_seconds: float
    ratio: float | None = None
    prompt_tokens: int = 0
    prompt_tokens_computed: int = 0
    prompt_tokens_cached: int = 0
    generated_tokens: int = 0
    background: bool = False
    key: str = ""
    priority: str = ""


def queue_response(requests: Iterable[RequestProgress]) -> dict[str, object]:
    """Return the reply of GET /api/queue."""
    return {"requests": [_queued(request) for request in requests]}


def _queued(request: RequestProgress) -> QueuedRequest:
    record = request.record
    age = record.elapsed_ns / 1e9
    return QueuedRequest(
        id=record.id,
        route=f"{record.method} {record.path}",
        model=record.pending_model or record.model,
        phase=request.phase.value,
        created_at=local_time(time.time() - age),
        age_seconds=round(age, 3),
        ratio=None if request.ratio is None else round(request.ratio, 4),
        prompt_tokens=request.n_prompt,
        prompt_tokens_computed=request.n_computed,
        prompt_tokens_cached=request.n_cached,
        generated_tokens=request.n_generated,
        background=record.is_background,
        key=record.caller.name,
        priority=record.caller.priority.value,
    )


def cancellation(request_id: str) -> dict[str, str]:
    """Return the reply of DELETE /api/requests/:id."""
    return {"id": request_id, "status": "cancelled"}


def unload_response(in_use: Mapping[str, bool]) -> dict[str, object]:
    """Return the reply of POST /api/unload: models, and whether each is still in use."""
    return {
        "models": [
            {"model": name, "status": "unloading" if is_used else "unloaded"}
            for name, is_used in in_use.items()
        ]
    }
