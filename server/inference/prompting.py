"""Render the prompt of a conversation, without the oldest turns when it exceeds the context."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from runners.host.scheduler import Lease
from runners.protocol.messages import Ready
from server.concurrency.threads import in_thread_if_long
from server.errors import ContextExceeded, TemplateBudgetExceeded, TemplateError
from server.inference.growth import Room
from server.inference.text_length import begins_within, max_characters, require_fit, too_long
from server.parsing.output_format import OutputFormat
from server.prompt import image_tags
from server.prompt.content_marks import MarkedContent, mark_content, texts_of
from server.prompt.messages import Message, Think, Tool
from server.prompt.rendered_prompt import RenderedPrompt
from server.prompt.renderer import Renderer, markup_of, placing_of
from server.prompt.special_tokens import SpecialTexts
from server.prompt.truncate import Count, Fitted, fit_history, is_instruction
from server.rendering.client import PromptRenderer
from server.rendering.messages import RenderInput

_log = logging.getLogger(__name__)

_EXTRA_TOKENS: Final = 2
"""The first token of the answer, and the space that SentencePiece puts before a text."""
_RESERVED_SHARE: Final = 8
"""A truncated prompt leaves up to this part of the context for the answer."""


async def fitted_prompt(
    prompts: PromptRenderer,
    renderer: Renderer,
    output: OutputFormat,
    messages: Sequence[Message],
    *,
    special: SpecialTexts,
    tools: Sequence[Tool] = (),
    think: Think | None = None,
    lease: Lease,
    room: Room,
    n_predict: int | None = None,
    truncate: bool,
    refuse_halved: bool = False,
) -> Fitted[RenderedPrompt]:
    """Render `messages`, without the oldest when `truncate` is set and they do not fit `room`.

    The prompt has a tag for each image of the messages that are left. A truncated one leaves room
    for an answer of `n_predict` tokens, or of an eighth of the context if that is less. With
    `refuse_halved` it must keep at least half of the prompt.

    Raises:
        ContextTooSmall: the context can grow, and is to do so.
        ContextExceeded: it would not.
        TemplateError: the template fails, or takes too much time or memory.
        ServerBusy: there is no worker process that could render it.
    """
    n_ctx = room.n_ctx
    work = _Rendering(prompts, renderer, output, messages, tools, think, lease, n_ctx, special)
    _require_fit(messages, tools, room.max_n_ctx, truncate=truncate)
    if room.may_grow:
        await _grow(work, room)
    if truncate:
        fitted = await fit_history(
            _newest(messages, max_characters(n_ctx)),
            work.render_as_sent,
            work.count,
            n_ctx - _EXTRA_TOKENS - lease.ready.adds_bos,
            image_tokens=image_tags.TOKENS_PER_IMAGE if lease.ready.has_media else 0,
            reserve=_reserve(n_ctx, n_predict),
            render_reordered=work.render,
        )
        # The runner need not tokenise again what was tokenised to count it.
        fitted = fitted._replace(tokens=work.counted.get(fitted.prompt))
        if refuse_halved:
            await _require_half(
                messages, tools, fitted, work.counted, count=work.count, n_ctx=n_ctx
            )
    else:
        fitted = Fitted(await work.render(messages), messages)
    await require_fit(lease.runner, fitted.prompt.text, n_ctx)
    _warn_of_dropped(len(messages) - len(fitted.messages), len(messages), n_ctx)
    if not image_tags.count(fitted.messages):
        return fitted
    placing = placing_of(renderer)
    if placing is None:
        return Fitted(fitted.prompt, [replace(message, images=()) for message in fitted.messages])
    return Fitted(
        await work.render(image_tags.with_tags(fitted.messages, placing)), fitted.messages
    )


@dataclass(slots=True)
class _Rendering:
    """Renders parts of the messages of a request, and counts their tokens."""

    prompts: PromptRenderer
    renderer: Renderer
    output: OutputFormat
    messages: Sequence[Message]
    tools: Sequence[Tool]
    think: Think | None
    lease: Lease
    n_ctx: int
    special: SpecialTexts
    counted: dict[RenderedPrompt, tuple[int, ...]] = field(default_factory=dict)
    """The tokens of the prompts that were counted."""
    whole: RenderedPrompt | None = None
    """The prompt of all messages, if it was rendered."""

    async def render(self, subset: Sequence[Message], *, as_sent: bool = False) -> RenderedPrompt:
        n_characters = _n_characters(subset, self.tools)
        marked = await in_thread_if_long(n_characters, self._mark, subset)
        level = self.output.thinking_level(self.think)
        render_input = RenderInput(marked.messages, marked.tools, level, as_sent)
        text = await self.prompts.render(self.renderer, render_input)
        return await in_thread_if_long(len(text), marked.unmark, text)

    async def render_as_sent(self, subset: Sequence[Message]) -> RenderedPrompt:
        if len(subset) < len(self.messages):
            return await self.render(subset, as_sent=True)
        if self.whole is None:
            self.whole = await self.render(subset, as_sent=True)
        return self.whole

    def _mark(self, subset: Sequence[Message]) -> MarkedContent:
        return mark_content(
            subset,
            self.output.rename_tools(self.tools),
            special=self.special,
            delimiters=self.output.visible_tokens,
            markup=markup_of(self.renderer),
        )

    async def count(self, prompt: RenderedPrompt, limit: int = 0) -> int:
        """Return the tokens of a prompt; more than the context or `limit` need not be right."""
        ready, limit = self.lease.ready, limit or self.n_ctx
        if prompt not in self.counted:
            if not await begins_within(self.lease.runner, prompt.text, limit):
                return limit + 1
            body = without_bos(prompt, self.renderer, ready)
            length = len(body.text)
            text = await in_thread_if_long(length, body.for_tokenizer, self.special)
            self.counted[prompt] = await self.lease.runner.tokenize(text, add_special=True)
        return len(self.counted[prompt]) - ready.adds_bos


async def _grow(work: _Rendering, room: Room) -> None:
    """Raise ContextTooSmall if the prompt of all messages needs more context than there is."""
    # Fewer characters are fewer tokens, whatever a template adds.
    if 2 * _n_characters(work.messages, work.tools) < room.n_ctx:
        return
    try:
        whole = await work.render_as_sent(work.messages)
    except TemplateBudgetExceeded:
        raise
    except TemplateError:
        return  # it can be rendered only without some of them
    n_images = image_tags.count(work.messages) if work.lease.ready.has_media else 0
    n_media = image_tags.TOKENS_PER_IMAGE * n_images
    if room.needs_growth(len(whole.encode()) + n_media):
        room.require(await work.count(whole, room.max_n_ctx) + n_media)


def _require_fit(
    messages: Sequence[Message], tools: Sequence[Tool], n_ctx: int, *, truncate: bool
) -> None:
    """Raise BadRequest for messages and tools that cannot fit, before they are rendered."""
    if truncate:  # the others can be left out
        messages = [*filter(is_instruction, messages[:-1]), *messages[-1:]]
    n_characters = _n_characters(messages, tools)
    if n_characters > max_characters(n_ctx):
        raise too_long(n_characters, n_ctx)


def _warn_of_dropped(n_dropped: int, n_messages: int, n_ctx: int) -> None:
    if n_dropped:
        _log.warning(
            "%d of %d messages were dropped, as the prompt did not fit the context of %d tokens; "
            "num_ctx or OLLAMA_CONTEXT_LENGTH makes it larger",
            n_dropped,
            n_messages,
            n_ctx,
        )


async def _require_half(
    messages: Sequence[Message],
    tools: Sequence[Tool],
    fitted: Fitted[RenderedPrompt],
    counted: Mapping[RenderedPrompt, Sequence[int]],
    *,
    count: Count[RenderedPrompt],
    n_ctx: int,
) -> None:
    """Raise ContextExceeded for a prompt of which less than half is left in the context.

    `counted` are the tokens of the prompts that were tried. The whole one is among them, unless its
    messages are so long that they were not all rendered. Then its tokens are estimated.
    """
    prompt = fitted.prompt
    if prompt not in counted and len(prompt.text) > n_ctx:
        await count(prompt)
    # What was not counted is so short that it fits in any case, or far too long.
    n_kept = len(counted[prompt]) if prompt in counted else min(len(prompt.text), n_ctx + 1)
    if n_kept < n_ctx and len(fitted.messages) == len(messages):
        return
    n_estimated = n_kept * _n_characters(messages, tools) // max(len(prompt.text), 1)
    n_tokens = max(n_estimated, *map(len, counted.values()), 0)
    if n_kept >= n_ctx:  # the runner cuts the middle of a message, which leaves half of the context
        n_kept = n_ctx // 2
    if 2 * n_kept < n_tokens:
        raise ContextExceeded(n_tokens, n_ctx)


def _newest(messages: Sequence[Message], limit: int) -> Sequence[Message]:
    """Return the instructions and the newest messages, which have up to `limit` characters."""
    n_characters = 0
    for start in range(len(messages) - 1, -1, -1):
        n_characters += _n_characters([messages[start]])
        if n_characters > limit:
            return [
                *(m for m in messages[: start + 1] if is_instruction(m)),
                *messages[start + 1 :],
            ]
    return messages


def _n_characters(messages: Sequence[Message], tools: Sequence[Tool] = ()) -> int:
    return sum(map(len, texts_of(messages, tools)))


def without_bos(prompt: RenderedPrompt, renderer: Renderer, ready: Ready) -> RenderedPrompt:
    """Return `prompt` without the text of BOS at its beginning where the tokenizer adds BOS.

    The BOS of a Go template is not known; those that print it at all print Gemma's.
    """
    return prompt.removeprefix(renderer.bos or "<bos>") if ready.adds_bos else prompt


def _reserve(n_ctx: int, n_predict: int | None) -> int:
    """Return the tokens that a truncated prompt leaves for the answer."""
    share = n_ctx // _RESERVED_SHARE
    return min(share, n_predict) if n_predict is not None and n_predict > 0 else share
