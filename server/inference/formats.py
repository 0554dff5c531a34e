"""How a model's conversations are written and how what it says is read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from model_store.model import Model
from server.parsing.parser import OutputParser
from server.parsing.plain import PlainText
from server.prompt.messages import Message, Think, Tool
from server.prompt.render import DEFAULT_TEMPLATE, Renderer, parsed, renderer_for

Reading = Callable[[str, Sequence[Tool], Message, Think | None], OutputParser]
"""From the prompt, the tools it offers, its last message and the wish to think to a parser."""


@dataclass(frozen=True, slots=True)
class Format:
    """`visible` are the control tokens that the parsers have to see."""

    renderer: Renderer
    reading: Reading
    visible: tuple[str, ...] = ()


PLAIN = Format(parsed(DEFAULT_TEMPLATE), lambda *_: PlainText())
"""Text in, text out: what a client writes is the prompt, what the model writes the answer."""


def format_of(model: Model, go_template: bool | None) -> Format:
    """Return the format of `model`; raises TemplateError for a template that is broken."""
    return Format(renderer_for(model, go_template), lambda *_: PlainText())


def format_of_template(source: str) -> Format:
    """Return the format that a Go template makes; raises TemplateError."""
    return Format(parsed(source), lambda *_: PlainText())
