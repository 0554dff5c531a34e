"""What chat and completion requests have in common, and what it means to the services."""

from collections.abc import Mapping
from typing import Annotated, Any, TypedDict

from pydantic import Field

from runners.protocol.constraints import Constraint
from server.errors import BadRequest
from server.inference.generation import constraint_of
from server.openai.values import Effort, LogitBias, Stop
from server.prompt.messages import Think as ThinkValue
from server.schemas.base import ApiModel, FreeMap, Integer
from server.schemas.values import KeepAlive, Think
from server.text.quoting import quoted

_OPTIONS = (
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
_GRAMMARS = ("regex", "lark", "gbnf")
_FORMATS = "text, json_object, json_schema, regex, lark or gbnf"


class StreamOptions(ApiModel):
    """What a stream tells besides the answer."""

    include_usage: bool = False


class JSONSchemaFormat(ApiModel):
    """A schema in its wrapping; name and strictness mean nothing here: it always holds."""

    schema_: FreeMap | None = Field(default=None, alias="schema")


class ResponseFormat(ApiModel):
    """What the answer must look like; `regex`, `lark` and `gbnf` hold what their type names."""

    type: str = "text"
    json_schema: JSONSchemaFormat = JSONSchemaFormat()
    regex: str = ""
    lark: str = ""
    gbnf: str = ""


class Reasoning(ApiModel):
    """How to think."""

    effort: Effort = None


Answers = Annotated[int, Field(ge=1, le=128)]


class GenerationRequest(ApiModel):
    """How to answer: the fields of OpenAI, and those of the native API that it lacks."""

    model: str = ""
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    max_tokens: Integer | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: Integer | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: Integer | None = None
    stop: Stop = Field(default_factory=list)
    n: Answers = 1
    logit_bias: LogitBias = Field(default_factory=dict)
    response_format: ResponseFormat = ResponseFormat()
    reasoning: Reasoning = Reasoning()
    reasoning_effort: Effort = None
    think: Think = None
    options: FreeMap = Field(default_factory=dict)
    num_ctx: Integer | None = None
    keep_alive: KeepAlive = None


class AnswerFields(TypedDict):
    """The part of `AnswerRequest` that both kinds of requests fill alike."""

    model: str
    options: Mapping[str, object]
    think: ThinkValue | None
    constraint: Constraint | None
    keep_alive: float | None
    logit_bias: Mapping[int, float]
    n: int


def answer_fields(request: GenerationRequest, defaults: Mapping[str, object]) -> AnswerFields:
    """Return what `request` wishes; its own fields win over its `options`, those over `defaults`.

    Raises:
        BadRequest: the response format is none.
    """
    return AnswerFields(
        model=request.model,
        options={**defaults, **_given(request.options), **_own_options(request)},
        think=_think(request),
        constraint=_constraint(request.response_format),
        keep_alive=request.keep_alive,
        logit_bias=request.logit_bias,
        n=request.n,
    )


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _own_options(request: GenerationRequest) -> dict[str, object]:
    options = _given({name: getattr(request, name) for name in _OPTIONS})
    if request.max_tokens is not None:
        options["num_predict"] = request.max_tokens
    if request.stop:
        options["stop"] = request.stop
    return options


def _think(request: GenerationRequest) -> ThinkValue | None:
    for wish in (request.reasoning.effort, request.reasoning_effort, request.think):
        if wish is not None:
            return wish
    return None


def _constraint(wanted: ResponseFormat) -> Constraint | None:
    kind = wanted.type.strip().lower()
    match kind:
        case "" | "text":
            return None
        case "json_object":
            return constraint_of("json")
        case "json_schema":
            return constraint_of(wanted.json_schema.schema_)
    if kind not in _GRAMMARS:
        raise BadRequest(f"response_format.type must be {_FORMATS}, not {quoted(wanted.type)}")
    text: str = getattr(wanted, kind)
    if not text:
        raise BadRequest(f'response_format of type "{kind}" needs a field "{kind}" with its text')
    return constraint_of({kind: text})
