"""Which of the built-in templates does the same as the Jinja template of a file.

Both write a few conversations, and only what is equal to the last character counts: a model gets
no other prompts than its own template would write. Two things are not compared, because no Go
template can do them: most templates in Jinja take blanks off the ends of what is said, and refuse
or repeat turns of one role that follow each other, which Go templates are given as one.
"""

from functools import cache
from typing import Final

from model_store.create import KnownTemplate
from model_store.gguf import ChatTemplate
from server.errors import TemplateError
from server.prompt.abilities import of_jinja
from server.prompt.builtin.templates import BUILT_IN
from server.prompt.jinja import JinjaTemplate
from server.prompt.messages import Message
from server.prompt.template import GoTemplate

_LONGEST: Final = 1 << 13
"""In characters; a template that does no more than a built-in one is shorter by far."""
_MOST_SECONDS: Final = 0.5
"""For each conversation, so that nobody waits for a hostile template."""

_SYSTEM: Final = Message("system", "Be brief.\nName no sources.")
_TURNS: Final = (
    Message("user", "Is 1 < 2 & 'a' != \"b\"?"),
    Message("assistant", "Yes.\n\nBoth hold."),
    Message("user", "What is **rain**?"),
    Message("assistant", "Water {that} falls."),
    Message("user", "Und Schnee, zum Beispiel in Zürich?"),
)
_WITHOUT_SYSTEM: Final = tuple(_TURNS[:count] for count in (1, 3, 5))
_WITH_SYSTEM: Final = tuple((_SYSTEM, *turns) for turns in _WITHOUT_SYSTEM)

Conversation = tuple[Message, ...]


def recognise(chat: ChatTemplate) -> KnownTemplate | None:
    """Return the built-in template that writes what a model's own does, None when there is none.

    A template that knows tools or thinking can do more, one that fails is no template to follow:
    both are left alone. One that refuses a system text loses nothing by another that takes it.
    """
    if len(chat.source) > _LONGEST or of_jinja(chat.source):
        return None
    try:
        template = JinjaTemplate(
            chat.source, bos=chat.bos, eos=chat.eos, seconds=_MOST_SECONDS
        )
        candidates = list(BUILT_IN)
        for conversation in _WITHOUT_SYSTEM:
            prompt = _written(template, chat, conversation)
            candidates = [c for c in candidates if _expected(c, conversation) == prompt]
            if not candidates:
                return None
    except TemplateError:
        return None
    prompts = [_unless_refused(template, chat, conversation) for conversation in _WITH_SYSTEM]
    for known in candidates:
        expected = [_expected(known, conversation) for conversation in _WITH_SYSTEM]
        if prompts in (expected, [None] * len(expected)):
            return known
    return None


def _unless_refused(
    template: JinjaTemplate, chat: ChatTemplate, conversation: Conversation
) -> str | None:
    try:
        return _written(template, chat, conversation)
    except TemplateError:
        return None


def _written(template: JinjaTemplate, chat: ChatTemplate, conversation: Conversation) -> str:
    prompt = template.render(conversation, (), None)
    # BOS at the beginning counts as the tokenizer's, which most templates repeat.
    return prompt if chat.adds_bos is False else prompt.removeprefix(chat.bos)


@cache
def _expected(known: KnownTemplate, conversation: Conversation) -> str:
    return GoTemplate(known.source).render(conversation, (), None)
