"""Fields that chat and text completion requests share."""

from typing import Annotated, Any

from pydantic import Field

from server.openai.structured_outputs import StructuredOutputFields
from server.openai.values import Effort, LogitBias, Stop
from server.schemas.adapters import AdapterFields
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


class GenerationRequest(StructuredOutputFields):
    """Generation parameters of OpenAI, and those of the native API and other servers it lacks.

    `repetition_penalty` is the name that vLLM gives `repeat_penalty`.
    """

    model: str = ""
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    max_tokens: Integer | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: Integer | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    repetition_penalty: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: Integer | None = None
    ignore_eos: bool | None = None
    min_tokens: Integer | None = None
    stop: Stop = Field(default_factory=list)
    n: Answers = 1
    logit_bias: LogitBias = Field(default_factory=dict)
    stop_token_ids: list[Integer] = Field(default_factory=list)
    bad_words: list[str] = Field(default_factory=list)
    allowed_token_ids: list[Integer] = Field(default_factory=list)
    use_beam_search: bool = False
    response_format: ResponseFormat | None = None
    format: Any = Field(default=None, description="As in the native API.")
    reasoning: Reasoning = Reasoning()
    reasoning_effort: Effort = None
    think: Think = None
    options: ModelOptions = Field(default_factory=dict)
    num_ctx: Integer | None = None
    keep_alive: KeepAlive = None
    adapters: AdapterFields = None
