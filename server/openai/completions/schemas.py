"""POST /v1/completions: the request."""

from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from server.openai.prompts import Prompt, prompts_of
from server.openai.schemas import GenerationRequest
from server.schemas.base import Integer, refuse
from server.schemas.limits import TOKENS
from server.schemas.values import TopLogprobs

# Each one waits for its turn with a task and a stream of its own.
_MOST_PROMPTS = 2048


def _prompts(value: object) -> tuple[Prompt, ...]:
    prompts = prompts_of(value)
    if prompts is None:
        raise refuse('field "prompt" must be a text, a list of texts, or tokens')
    if len(prompts) > _MOST_PROMPTS:
        raise refuse(f"at most {_MOST_PROMPTS} prompts can be answered by one request")
    if not all(prompts) and len(prompts) > 1:
        raise refuse("a prompt among several must not be empty")
    return prompts


Prompts = Annotated[
    tuple[Prompt, ...],
    BeforeValidator(_prompts),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array"}]}),
]


class CompletionRequest(GenerationRequest):
    """Prompts to go on from; `n` answers to each, in the order of the prompts.

    `logprobs` is the number of alternatives to each token. `best_of` may only be what `n` is.
    """

    body_limits = TOKENS
    prompt: Prompts = ("",)
    suffix: str = ""
    top_p: Annotated[float | None, AfterValidator(lambda value: value or None)] = None
    logprobs: TopLogprobs | None = None
    echo: bool = False
    best_of: Integer | None = Field(default=None)

    @model_validator(mode="after")
    def _can_be_answered(self) -> Self:
        if self.best_of not in (None, self.n):
            raise refuse('field "best_of" must be the same as "n": every answer is returned')
        if self.echo and self.logprobs is not None:
            raise refuse("echo cannot be had with logprobs: those of the prompt are not computed")
        return self
