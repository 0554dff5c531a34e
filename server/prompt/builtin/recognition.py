"""Which of the built-in templates does the same as the Jinja template of a file.

Both write a few conversations, and only what is equal to the last character counts: a model gets
no other prompts than its own template would write. Two things are not compared, because no Go
template can do them: most templates in Jinja take blanks off the ends of what is said, and refuse
or repeat turns of one role that follow each other, which Go templates are given as one.
"""

from functools import cache, cached_property
from typing import Final

from model_store.create import KnownTemplate
from model_store.gguf import ChatTemplate
from server.errors import TemplateError
from server.prompt.builtin.templates import BUILT_IN
from server.prompt.jinja import JinjaTemplate
from server.prompt.messages import Message
from server.prompt.template import GoTemplate
from server.prompt.template_features import of_jinja

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
_WITHOUT_SYSTEM: Final = (_TURNS[:1], _TURNS[:3], _TURNS)
_WITH_SYSTEM: Final = ((_SYSTEM, *_TURNS[:1]), (_SYSTEM, *_TURNS[:3]))

Conversation = tuple[Message, ...]


def recognise(chat: ChatTemplate) -> KnownTemplate | None:
    """Return the built-in template that writes what a model's own does, None when there is none.

    A template that knows tools or thinking can do more, one that fails is no template to follow:
    both are left alone. One that refuses a system text loses nothing by another that takes it.
    """
    if len(chat.source) > _LONGEST or of_jinja(chat.source):
        return None
    try:
        own = _Own(chat)
        candidates = list(BUILT_IN)
        for conversation in _WITHOUT_SYSTEM:
            prompts = own.prompts(conversation)
            candidates = [c for c in candidates if _expected(c, conversation) in prompts]
            if not candidates:
                return None
    except TemplateError:
        return None
    return next((c for c in candidates if own.agrees_or_refuses(c)), None)


class _Own:
    """What a model's own template writes; raises TemplateError when it cannot be compiled."""

    def __init__(self, chat: ChatTemplate) -> None:
        self._chat = chat
        self._template = JinjaTemplate(
            chat.source, bos=chat.bos, eos=chat.eos, seconds=_MOST_SECONDS
        )

    def prompts(self, conversation: Conversation) -> frozenset[str]:
        """Return the prompts that come to what the template writes; raises TemplateError.

        BOS at the beginning is the tokenizer's where it adds BOS, for that is taken off once then.
        """
        prompt = self._template.render(conversation, (), None)
        without_bos = prompt.removeprefix(self._chat.bos)
        if self._chat.adds_bos is None:
            return frozenset((prompt, without_bos))
        return frozenset((without_bos if self._chat.adds_bos else prompt,))

    @cached_property
    def _directed(self) -> tuple[frozenset[str] | None, ...]:
        return tuple(map(self._unless_refused, _WITH_SYSTEM))

    def _unless_refused(self, conversation: Conversation) -> frozenset[str] | None:
        try:
            return self.prompts(conversation)
        except TemplateError:
            return None

    def agrees_or_refuses(self, known: KnownTemplate) -> bool:
        """Tell whether system texts are written as `known` writes them, or refused throughout."""
        if not any(self._directed):
            return True
        pairs = zip(_WITH_SYSTEM, self._directed, strict=True)
        return all(prompts and _expected(known, c) in prompts for c, prompts in pairs)


@cache
def _expected(known: KnownTemplate, conversation: Conversation) -> str:
    return GoTemplate(known.source).render(conversation, (), None)
