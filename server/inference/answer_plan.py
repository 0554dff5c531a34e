"""What chat and completion decide before they lease a runner, and the lease of every request."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import islice
from typing import Final

from model_store.model import Model
from model_store.options import Options
from runners.host.model_request import ModelRequest
from runners.host.scheduler import Lease, Scheduler
from server.formats import Format
from server.prompt.messages import Think
from server.request_record import current

_MOST_BLOCKS: Final = 64


@dataclass(frozen=True, slots=True)
class AnswerPlan:
    """How a request is answered, as far as the files of the model decide it."""

    model: Model
    format: Format
    think: Think | None
    options: Options
    request: ModelRequest


@asynccontextmanager
async def recorded_lease(
    scheduler: Scheduler, request: ModelRequest, blocks: Iterable[str] = ()
) -> AsyncGenerator[Lease, None]:
    """Lease a runner as `Scheduler.lease`, and note it in the record of the request.

    On one of several machines, that is the one which has computed most of `blocks`, with which the
    prompt begins.
    """
    if scheduler.machines.are_many:
        request = replace(request, prefix=_hashes(blocks))
    record = current()
    record.begin_wait(request.name)
    if record.is_background or record.caller.id:
        request = replace(request, is_background=record.is_background, owner=record.caller.id)
    async with scheduler.lease(request) as lease:
        record.set_lease(request.name, lease.pid, lease.queue_seconds, lease.load_seconds)
        yield lease


def _hashes(blocks: Iterable[str]) -> tuple[int, ...]:
    """Return hashes of the first blocks of a prompt, each of all before it."""
    digest, hashes = blake2b(digest_size=8), []
    for block in islice(blocks, _MOST_BLOCKS):
        digest.update(f"{len(block)} {block}".encode(errors="replace"))
        hashes.append(int.from_bytes(digest.digest()))
    return tuple(hashes)
