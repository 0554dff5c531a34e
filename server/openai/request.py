"""Convert the fields that chat and text completion requests share to generation parameters."""

from collections.abc import Mapping
from typing import Any, Final, TypedDict

from runners.protocol.constraints import Constraint
from server.errors import BadRequest
from server.inference.adapters import AdapterChoice, adapter_choices
from server.openai.schemas import GenerationRequest, ResponseFormat
from server.openai.structured_outputs import constraint_of_fields
from server.prompt.messages import Think
from server.schemas.constraints import GRAMMARS, any_json_object, constraint_of, json_schema
from server.text.quoting import quoted

OPTION_FIELDS: Final = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repeat_penalty",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "ignore_eos",
    "min_tokens",
    "num_ctx",
)
"""Model options that are fields of their own in requests."""
_UNSUPPORTED: Final = ("stop_token_ids", "bad_words", "allowed_token_ids", "use_beam_search")
"""Fields of other servers that would change the answer."""
_SCHEMA_KEYWORDS: Final = frozenset(
    "type properties items enum const anyOf oneOf allOf $ref $defs".split()
)
_FORMATS = "text, json_object, json_schema, regex, lark or gbnf"


class SharedParams(TypedDict):
    """The part of `GenerationParams` that chat and text completions set alike."""

    model: str
    options: Mapping[str, object]
    think: Think | None
    think_if_supported: bool
    constraint: Constraint | None
    keep_alive: float | None
    adapters: tuple[AdapterChoice, ...] | None
    logit_bias: Mapping[int, float]
    n: int


def generation_params(request: GenerationRequest, defaults: Mapping[str, object]) -> SharedParams:
    """Return the parameters; fields win over the `options` object, which wins over `defaults`.

    Raises:
        BadRequest: the response format is unknown or incomplete, or a field is not supported.
    """
    for name in _UNSUPPORTED:
        if getattr(request, name):
            raise BadRequest(f'field "{name}" is not supported; leave it out')
    return SharedParams(
        model=request.model,
        options={**defaults, **_without_nulls(request.options), **_options_of_fields(request)},
        think=request.think if (effort := _effort(request)) is None else effort,
        # A client that cannot know the model sends an effort with every request.
        think_if_supported=effort is not None,
        constraint=_constraint(request),
        keep_alive=request.keep_alive,
        adapters=adapter_choices(request.adapters),
        logit_bias=request.logit_bias,
        n=request.n,
    )


def _without_nulls(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _options_of_fields(request: GenerationRequest) -> dict[str, object]:
    options = _without_nulls({name: getattr(request, name) for name in OPTION_FIELDS})
    if request.repetition_penalty is not None:
        options.setdefault("repeat_penalty", request.repetition_penalty)
    if request.max_tokens is not None:
        options["num_predict"] = request.max_tokens
    if request.stop:
        options["stop"] = request.stop
    return options


def _effort(request: GenerationRequest) -> Think | None:
    effort = request.reasoning.effort
    return request.reasoning_effort if effort is None else effort


def _constraint(request: GenerationRequest) -> Constraint | None:
    constraint, other = _response_format(request), constraint_of_fields(request)
    if constraint is not None and other not in (None, constraint):
        raise BadRequest(
            "response_format and a field of another server both say what the answer is; "
            "send one of them"
        )
    return other if constraint is None else constraint


def _response_format(request: GenerationRequest) -> Constraint | None:
    response_format = request.response_format
    if response_format is None:
        return constraint_of(request.format)
    kind = response_format.type.strip().lower()
    match kind:
        case "" | "text":
            return None
        case "json_object":
            schema = _schema_of(response_format)
            return json_schema(schema) if schema else any_json_object()
        case "json_schema":
            schema = _schema_of(response_format)
            if schema is None:
                raise BadRequest(
                    'response_format of type "json_schema" needs a schema in json_schema.schema'
                )
            return json_schema(schema) if schema else any_json_object()
    if kind not in GRAMMARS:
        raise BadRequest(
            f"response_format.type must be {_FORMATS}, not {quoted(response_format.type)}"
        )
    text: str = getattr(response_format, kind)
    if not text:
        raise BadRequest(f'response_format of type "{kind}" needs a field "{kind}" with its text')
    return GRAMMARS[kind](text)


def _schema_of(response_format: ResponseFormat) -> Mapping[str, object] | None:
    """Return the schema in any of the places that servers document; None when there is none."""
    outer = response_format.json_schema
    if outer is None:
        return response_format.schema_
    inner = outer.get("schema")
    if isinstance(inner, dict):
        return inner
    return outer if not _SCHEMA_KEYWORDS.isdisjoint(outer) else response_format.schema_
