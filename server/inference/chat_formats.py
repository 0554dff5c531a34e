"""Chat formats of the models that a runner serves: renderer, output format, special tokens' texts.

They are looked up in a thread once per runner and model, and kept as long as the runner: two
changes of thread are much of what a server takes for a short request.
"""

from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

from runners.host.client import RunnerClient
from runners.protocol.tokens import SpecialTokens
from server.concurrency.threads import in_thread
from server.formats import DEFAULT_TEMPLATE, PLAIN, Format, of_go_template, renderer_of
from server.inference.answer_plan import AnswerPlan
from server.prompt.renderer import Renderer, markup_of
from server.prompt.special_tokens import NO_SPECIAL_TEXTS, SpecialTexts, special_texts
from server.prompt.template import parse_go_template

_MOST_MODELS: Final = 8
"""Models of one runner whose formats are kept: they share its weights and differ in templates."""


@dataclass(frozen=True, slots=True)
class ChatFormat:
    """How prompts of a model are rendered, and which of their texts its tokenizer knows."""

    format: Format
    renderer: Renderer
    special: SpecialTexts


class ChatFormats:
    """Finds the formats of requests; remembers those of the running runners."""

    def __init__(self) -> None:
        self._by_runner: WeakKeyDictionary[RunnerClient, dict[str, ChatFormat]] = (
            WeakKeyDictionary()
        )

    async def of_model(self, plan: AnswerPlan, runner: RunnerClient) -> ChatFormat:
        """Return the format of the model itself; raises TemplateError."""
        by_digest = self._by_runner.setdefault(runner, {})
        chat_format = by_digest.get(plan.model.digest)
        if chat_format is None:
            tokens = await runner.special_tokens()
            chat_format = await in_thread(_of_model, plan, tokens)
            if len(by_digest) >= _MOST_MODELS:
                by_digest.clear()
            by_digest[plan.model.digest] = chat_format
        return chat_format

    async def of_template(self, template: str, runner: RunnerClient) -> ChatFormat:
        """Return the format of a Go template that a request brings; raises TemplateError."""
        return await in_thread(_of_template, template, await runner.special_tokens())

    @staticmethod
    def of_raw_prompt() -> ChatFormat:
        """Return the format of a prompt that is given to the model as it is."""
        return ChatFormat(PLAIN, parse_go_template(DEFAULT_TEMPLATE), NO_SPECIAL_TEXTS)


def _of_model(plan: AnswerPlan, tokens: SpecialTokens) -> ChatFormat:
    return _chat_format(plan.format, renderer_of(plan.model, plan.format), tokens)


def _of_template(template: str, tokens: SpecialTokens) -> ChatFormat:
    return _chat_format(of_go_template(template), parse_go_template(template), tokens)


def _chat_format(format: Format, renderer: Renderer, tokens: SpecialTokens) -> ChatFormat:
    """Return the format with the special texts of a vocabulary with these special `tokens`.

    Where a template adds nothing to what a client writes, its text is the prompt, as a raw one is.
    """
    markup = markup_of(renderer)
    special = special_texts(tokens, markup, format.output.visible_tokens) if markup else None
    return ChatFormat(format, renderer, special or NO_SPECIAL_TEXTS)
