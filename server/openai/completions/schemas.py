"""POST /v1/completions: the request."""

from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from server.openai.prompts import Prompt, prompts_of
from server.openai.schemas import GenerationRequest
from server.schemas.base import Integer, LongText, refuse
from server.schemas.limits import TOKENS
from server.schemas.values import TopLogprobs

# Each prompt has a task and a stream of its own while it waits.
MAX_PROMPTS = 2048


def _prompts(value: object) -> tuple[Prompt, ...]:
    prompts = prompts_of(value)
    if prompts is None:
        raise refuse('field "prompt" must be a text, a list of texts, or tokens')
    if len(prompts) > MAX_PROMPTS:
        raise refuse(f"a request may have at most {MAX_PROMPTS} prompts")
    if not all(prompts) and len(prompts) > 1:
        raise refuse("a prompt of several must not be empty")
    return prompts


Prompts = Annotated[
    tuple[Prompt, ...],
    BeforeValidator(_prompts),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array"}]}),
]


class CompletionRequest(GenerationRequest):
    """One prompt or several, with `n` answers to each.

    `logprobs` is the number of alternatives per token. `best_of` must equal `n`.
    """

    body_limits = TOKENS
    prompt: Prompts = ("",)
    suffix: LongText = ""
    top_p: Annotated[float | None, AfterValidator(lambda value: value or None)] = None
    logprobs: TopLogprobs | None = None
    echo: bool = False
    best_of: Integer | None = Field(default=None)

    @model_validator(mode="after")
    def _is_supported(self) -> Self:
        if self.best_of not in (None, self.n):
            raise refuse('field "best_of" must equal "n"')
        if self.scores_prompt and self.suffix:
            raise refuse('field "suffix" cannot be used with logprobs of an echo')
        return self

    @property
    def scores_prompt(self) -> bool:
        """Whether the tokens of the prompt get log probabilities, as `lm-evaluation-harness` wants.

        The prompt is then used as it is, without a template.
        """
        return self.echo and self.logprobs is not None
