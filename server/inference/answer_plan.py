"""What chat and completion decide before they lease a runner, and the lease of every request."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from model_store.model import Model
from model_store.options import Options
from runners.host.model_request import ModelRequest
from runners.host.scheduler import Lease, Scheduler
from server.formats import Format
from server.prompt.messages import Think
from server.request_record import current


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
    scheduler: Scheduler, request: ModelRequest
) -> AsyncGenerator[Lease, None]:
    """Lease a runner as `Scheduler.lease`, and note it in the record of the request."""
    record = current()
    record.begin_wait(request.name)
    if record.is_background or record.caller.id:
        request = replace(request, is_background=record.is_background, owner=record.caller.id)
    async with scheduler.lease(request) as lease:
        record.set_lease(request.name, lease.pid, lease.queue_seconds, lease.load_seconds)
        yield lease
