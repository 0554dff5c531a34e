"""Convert the fields that chat and text completion requests share to generation parameters."""

from collections.abc import Mapping
from typing import Any, Final, TypedDict

from runners.protocol.constraints import Constraint
from server.errors import BadRequest
from server.inference.constraints import GRAMMARS, any_json_object, json_schema
from server.openai.schemas import GenerationRequest, ResponseFormat
from server.prompt.messages import Think
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
    "num_ctx",
)
"""Model options that are fields of their own in requests."""
_FORMATS = "text, json_object, json_schema, regex, lark or gbnf"


class SharedParams(TypedDict):
    """The part of `GenerationParams` that chat and text completions set alike."""

    model: str
    options: Mapping[str, object]
    think: Think | None
    constraint: Constraint | None
    keep_alive: float | None
    logit_bias: Mapping[int, float]
    n: int


def generation_params(request: GenerationRequest, defaults: Mapping[str, object]) -> SharedParams:
    """Return the parameters; fields win over the `options` object, which wins over `defaults`.

    Raises:
        BadRequest: the response format is unknown or incomplete.
    """
    return SharedParams(
        model=request.model,
        options={**defaults, **_without_nulls(request.options), **_options_of_fields(request)},
        think=_think(request),
        constraint=_constraint(request.response_format),
        keep_alive=request.keep_alive,
        logit_bias=request.logit_bias,
        n=request.n,
    )


def _without_nulls(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _options_of_fields(request: GenerationRequest) -> dict[str, object]:
    options = _without_nulls({name: getattr(request, name) for name in OPTION_FIELDS})
    if request.max_tokens is not None:
        options["num_predict"] = request.max_tokens
    if request.stop:
        options["stop"] = request.stop
    return options


def _think(request: GenerationRequest) -> Think | None:
    for think in (request.reasoning.effort, request.reasoning_effort, request.think):
        if think is not None:
            return think
    return None


def _constraint(response_format: ResponseFormat) -> Constraint | None:
    kind = response_format.type.strip().lower()
    match kind:
        case "" | "text":
            return None
        case "json_object":
            return any_json_object()
        case "json_schema":
            schema = response_format.json_schema.schema_
            return None if schema is None else json_schema(schema) if schema else any_json_object()
    if kind not in GRAMMARS:
        raise BadRequest(
            f"response_format.type must be {_FORMATS}, not {quoted(response_format.type)}"
        )
    text: str = getattr(response_format, kind)
    if not text:
        raise BadRequest(f'response_format of type "{kind}" needs a field "{kind}" with its text')
    return GRAMMARS[kind](text)
