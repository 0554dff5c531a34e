"""POST /api/create: make a model from uploaded files or an installed one, and report each step."""

from collections.abc import Generator, Iterator
from contextlib import aclosing

from fastapi import APIRouter, Request
from starlette.responses import Response

from model_store.create import CreateProgress, CreateSpec
from server.concurrency.threads import in_thread
from server.http.body import converted, read_body
from server.http.direct_route import DirectRoute
from server.http.openapi import body_of
from server.http.streaming import BARE_JSON_TYPE, LINES_TYPE, EventReply, Events
from server.library.registry import Progress
from server.native.create_request import create_spec
from server.native.model_schemas import CreateRequest
from server.routes.dependencies import is_from_web_page, services_of
from server.services import Services

router = APIRouter(prefix="/api", route_class=DirectRoute)
BODIES = (CreateRequest,)


@router.post("/create", openapi_extra=body_of(CreateRequest, stream=LINES_TYPE))
async def create(request: Request) -> Response:
    """Make a model, reporting each step."""
    body = await read_body(request, CreateRequest)
    spec = await converted(request, create_spec, body)
    services = services_of(request)
    return EventReply(
        services.until_closing(_create(services, spec, is_untrusted=is_from_web_page(request))),
        stream=body.stream,
        fold=lambda steps: steps[-1],
        object_type=BARE_JSON_TYPE,
    )


async def _create(services: Services, spec: CreateSpec, *, is_untrusted: bool) -> Events[Progress]:
    """Pull the parent if it is not here, then make the model."""
    if spec.parent is not None:
        work = services.registry.pull_if_missing(spec.parent, is_untrusted=is_untrusted)
        async with aclosing(work) as pulled:
            async for step in pulled:
                if step.status != "success":
                    yield step
    try:
        async with aclosing(_steps(services.store.create(spec))) as steps:
            async for progress in steps:
                yield progress
    finally:
        await services.retire_replaced(spec.name)


async def _steps(work: Iterator[CreateProgress]) -> Events[Progress]:
    """Yield the steps of `work`, without repetitions.

    The work advances one step at a time, so it stops between two steps when the client disconnects.
    """
    last = None
    try:
        while (step := await in_thread(next, work, None)) is not None:
            if step == last:
                continue
            last = step
            yield Progress(step.status, step.digest, step.total, step.completed)
    finally:
        if isinstance(work, Generator):
            await in_thread(work.close)
