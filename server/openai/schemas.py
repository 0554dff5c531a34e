"""Fields that chat and text completion requests share."""

from typing import Annotated, Any

from pydantic import Field

from server.openai.values import Effort, LogitBias, Stop
from server.schemas.base import ApiModel, FreeMap, Integer, refuse
from server.schemas.values import KeepAlive, ModelOptions, Think


class StreamOptions(ApiModel):
    """What a stream contains besides the answer."""

    include_usage: bool = False


class ResponseFormat(ApiModel):
    """The output format; `regex`, `lark` and `gbnf` hold the grammar of the type of that name.

    `json_schema` holds the schema in its field `schema`, as OpenAI documents it, or is the schema.
    Other servers document a `schema` beside the type, also for `json_object`. The name and
    strictness of a schema are ignored: it is always enforced.
    """

    type: str = "text"
    json_schema: FreeMap | None = None
    schema_: FreeMap | None = Field(default=None, alias="schema")
    regex: str = ""
    lark: str = ""
    gbnf: str = ""


class Reasoning(ApiModel):
    """Reasoning settings."""

    effort: Effort = None


def require_answer(name: str, limit: int | None) -> None:
    """Refuse a limit of 0 tokens, which leaves no answer; a negative one is none, for many clients.

    It is refused as OpenAI does.
    """
    if limit == 0:
        raise refuse(
            f"Invalid '{name}': integer below minimum value. "
            "Expected a value >= 1, but got 0 instead."
        )


Answers = Annotated[int, Field(ge=1, le=128)]


class GenerationRequest(ApiModel):
    """Generation parameters of OpenAI, and those of the native API that it lacks."""

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
    response_format: ResponseFormat | None = None
    format: Any = Field(default=None, description="As in the native API.")
    reasoning: Reasoning = Reasoning()
    reasoning_effort: Effort = None
    think: Think = None
    options: ModelOptions = Field(default_factory=dict)
    num_ctx: Integer | None = None
    keep_alive: KeepAlive = None
