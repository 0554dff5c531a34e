"""POST /api/create: a model from uploaded files or an installed one, each step told."""

from collections.abc import Generator, Iterator
from contextlib import aclosing

from fastapi import APIRouter, Request
from starlette.responses import Response

from model_store.create import CreateProgress, CreateSpec
from model_store.errors import CreateError
from model_store.names import ModelName
from model_store.translation import ModelfileParts, modelfile_parts
from server.concurrency.threads import in_thread
from server.errors import BadRequest, Forbidden, TemplateError
from server.http.body import read_body
from server.http.openapi import body_of
from server.http.streaming import BARE_JSON_TYPE, LINES_TYPE, EventReply, Events
from server.library.registry import Progress
from server.model_names import model_name
from server.prompt.template import parse_go_template
from server.routes.dependencies import services_of
from server.schemas.chat import ChatMessage
from server.schemas.library import CreateRequest
from server.services import Services

router = APIRouter(prefix="/api")
BODIES = (CreateRequest,)

_TEXTS = ("template", "system", "renderer", "parser", "requires")


_NO_MODELFILE = ModelfileParts(
    parent="", files={}, adapters={}, texts={}, licenses=(), parameters={}, messages=()
)


@router.post("/create", openapi_extra=body_of(CreateRequest, stream=LINES_TYPE))
async def create(request: Request) -> Response:
    """Make a model, telling each step."""
    wanted = await read_body(request, CreateRequest)
    return EventReply(
        _made(services_of(request), _spec(wanted)),
        stream=wanted.stream,
        fold=lambda steps: steps[-1],
        object_type=BARE_JSON_TYPE,
    )


async def _made(services: Services, spec: CreateSpec) -> Events[Progress]:
    """Pull the parent if it is not here, then make the model."""
    if spec.parent is not None:
        async with aclosing(services.registry.pull_if_missing(spec.parent)) as pulled:
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
    """Yield the steps of `work`, which goes on only as fast as they are taken.

    A step that says nothing new is a chance to stop, and no line.
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


def _spec(wanted: CreateRequest) -> CreateSpec:
    _refuse_what_is_not_done(wanted)
    name = ModelName.parse(wanted.wanted)
    parts = _modelfile_parts(wanted)
    # Files of the request stand in the place of the Modelfile's FROM, as its own parent does.
    parent = wanted.from_ or ("" if wanted.files else parts.parent)
    texts = {name: getattr(wanted, name) or parts.texts.get(name, "") for name in _TEXTS}
    return CreateSpec(
        name=name,
        parent=model_name(parent) if parent else None,
        files=wanted.files or parts.files,
        adapters=wanted.adapters or parts.adapters,
        licenses=wanted.license or parts.licenses,
        parameters={**parts.parameters, **wanted.parameters},
        messages=_messages(wanted, parts),
        info=wanted.info,
        quantize=wanted.quantize or wanted.quantization,
        check_template=_check_template,
        **texts,
    )


def _modelfile_parts(wanted: CreateRequest) -> ModelfileParts:
    if not wanted.modelfile:
        return _NO_MODELFILE
    return modelfile_parts(wanted.modelfile, needs_from=not (wanted.from_ or wanted.files))


def _refuse_what_is_not_done(wanted: CreateRequest) -> None:
    if wanted.path:
        raise BadRequest("a model is made from uploaded files; a path of the server is not read")
    if wanted.draft_files:
        raise BadRequest("creating a model with a draft model is not supported")
    if wanted.remote_host:
        raise Forbidden("ollama cloud is disabled: remote models cannot be created")


def _messages(wanted: CreateRequest, parts: ModelfileParts) -> list[dict[str, object]]:
    return [_stored(message) for message in wanted.messages] or list(parts.messages)


def _stored(message: ChatMessage) -> dict[str, object]:
    told = message.model_dump(mode="json", exclude_defaults=True)
    return {"role": message.role, "content": message.content} | told


def _check_template(source: str) -> None:
    try:
        parse_go_template(source)
    except TemplateError as e:
        raise CreateError(f"template error: {e}") from None
