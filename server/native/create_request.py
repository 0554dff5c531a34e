"""Convert a create request, by Modelfile or by fields, to a specification for the store."""

from typing import Final

from model_store.create import CreateSpec
from model_store.errors import CreateError
from model_store.text_layers import LARGEST_KEPT
from model_store.translation import ModelfileParts, modelfile_parts
from server.errors import BadRequest, Forbidden, TemplateError
from server.inference.options import merged_options
from server.model_names import changeable_name, model_name
from server.native.model_schemas import CreateRequest
from server.native.schemas import ChatMessage
from server.prompt.template import parse_go_template

_TEXTS: Final = ("template", "system", "renderer", "parser", "requires")
_NO_MODELFILE: Final = ModelfileParts(
    parent="", files={}, adapters={}, drafts={}, texts={}, licenses=(), parameters={}, messages=()
)


def create_spec(request: CreateRequest) -> CreateSpec:
    """Return the specification of the model.

    Raises:
        InvalidName: the name of the model is invalid.
        BadRequest, Forbidden: the request has a field that is not supported, or a parameter of
            the wrong type.
        CreateError: the Modelfile cannot be read.
    """
    _refuse_unsupported(request)
    name = changeable_name(request.requested_model)
    parts = _modelfile_parts(request)
    # Files of the request stand in the place of the Modelfile's FROM, as its own parent does.
    parent = request.from_ or ("" if request.files else parts.parent)
    texts = {name: getattr(request, name) or parts.texts.get(name, "") for name in _TEXTS}
    parameters = {**parts.parameters, **request.parameters}
    merged_options(parameters)  # raises for what every request would fail on
    return CreateSpec(
        name=name,
        parent=model_name(parent) if parent else None,
        files=request.files or parts.files,
        adapters=request.adapters or parts.adapters,
        drafts=request.draft_files or parts.drafts,
        licenses=request.license or parts.licenses,
        parameters=parameters,
        messages=_messages(request, parts),
        info=request.info,
        quantize=request.quantize or request.quantization,
        check_template=_check_template,
        **texts,
    )


def _modelfile_parts(request: CreateRequest) -> ModelfileParts:
    if not request.modelfile:
        return _NO_MODELFILE
    return modelfile_parts(request.modelfile, needs_from=not (request.from_ or request.files))


def _refuse_unsupported(request: CreateRequest) -> None:
    if request.path:
        raise BadRequest(
            "paths of the server are not read; upload the files as blobs and name them in files"
        )
    if request.draft_quantize:
        raise BadRequest(
            "draft models are not quantized here; name a quantized GGUF file in draft_files"
        )
    if request.remote_host:
        raise Forbidden("ollama cloud is disabled: remote models cannot be created")


def _messages(request: CreateRequest, parts: ModelfileParts) -> list[dict[str, object]]:
    # Before they are copied; the store refuses the rest by what it would write.
    if sum(len(m.content) + len(m.thinking) for m in request.messages) > LARGEST_KEPT:
        raise CreateError(f"the messages are larger than {LARGEST_KEPT} bytes")
    return [_stored(message) for message in request.messages] or list(parts.messages)


def _stored(message: ChatMessage) -> dict[str, object]:
    fields = message.model_dump(mode="json", exclude_defaults=True)
    return {"role": message.role, "content": message.content} | fields


def _check_template(source: str) -> None:
    try:
        parse_go_template(source)
    except TemplateError as e:
        raise CreateError(f"template error: {e}") from None
