"""Compile and render the Jinja chat template of a model file in Jinja's sandbox.

The sandbox keeps a template away from Python's internals. What it computes and allocates is limited
by the worker process that this runs in.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from traceback import walk_tb
from typing import Final, NoReturn

from jinja2 import TemplateError as JinjaError
from jinja2 import TemplateSyntaxError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from model_store.gguf import ChatTemplate
from server.errors import TemplateError
from server.prompt.adaptation import adapt
from server.prompt.begun_answer import with_begun_answer
from server.prompt.messages import Message, Think, Tool
from server.prompt.role_order import reorderings
from server.prompt.system_messages import with_developers_as_system
from server.prompt.template_probe import TemplateProbe
from server.prompt.template_variables import template_variables
from server.prompt.thinking_words import THINKING_OFF, with_thinking_words
from server.prompt.tool_texts import tool_texts

MAX_SOURCE: Final = 1 << 16
_MAX_REASON: Final = 500
_LIST_CHANGES: Final = ("append", "extend", "insert", "pop")
"""What llama.cpp lets templates do; those of Kimi K2 collect ids of calls so."""


class _GenerationTag(Extension):
    """`{% generation %}`, which marks the assistant's text for training and prints it as it is."""

    tags = {"generation"}  # noqa: RUF012 - declared so by Jinja

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Return what stands between the tags."""
        next(parser.stream)
        return list(parser.parse_statements(("name:endgeneration",), drop_needle=True))


class _Sandbox(ImmutableSandboxedEnvironment):
    """A sandbox in which a template may change the lists that it makes, and nothing else."""

    def is_safe_attribute(self, obj: object, attr: str, value: object) -> bool:
        """Tell whether a template may use an attribute."""
        if type(obj) is list and attr in _LIST_CHANGES:
            return True
        return super().is_safe_attribute(obj, attr, value)


class JinjaRenderer:
    """A compiled template; raises TemplateError for one that cannot be compiled."""

    def __init__(self, template: ChatTemplate) -> None:
        if len(template.source) > MAX_SOURCE:
            raise TemplateError(f"the model's chat template is longer than {MAX_SOURCE} characters")
        self.bos = template.bos
        environment = _Sandbox(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.loopcontrols", _GenerationTag],
        )
        environment.filters |= {"tojson": _tojson, "from_json": json.loads}
        environment.globals |= {
            "raise_exception": _raise_exception,
            "strftime_now": _strftime_now,
            "bos_token": template.bos,
            "eos_token": template.eos,
        }
        try:
            self._template = environment.from_string(template.source)
        except MemoryError:
            raise
        except Exception as e:
            raise TemplateError(f"the model's chat template cannot be parsed: {_reason(e)}") from e
        self._source = template.source
        self._tool_texts = tool_texts(template.source)
        self._words = THINKING_OFF in template.source
        self._probe = TemplateProbe(
            lambda messages, tools, form, think: self._execute(
                template_variables(self._source, messages, tools, think, form)
            )
        )

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool],
        think: Think | None,
        *,
        as_sent: bool = False,
    ) -> str:
        """Return the prompt; raises TemplateError when the template fails.

        A conversation that the template refuses is tried again with its roles reordered, unless it
        must be rendered `as_sent`. An answer that the assistant has begun is left open, for the
        model to continue. Its thinking is over then: a block that the template opens is closed.
        """
        finished, begun = _split_begun_answer(messages)
        prompt = self._render_accepted(finished, tools, think, as_sent=as_sent)
        return with_begun_answer(prompt, begun)

    def _render_accepted(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool],
        think: Think | None,
        *,
        as_sent: bool,
    ) -> str:
        refusal: TemplateError | None = None
        if think is not None and self._words and not self._probe.switches_thinking:
            messages = with_thinking_words(messages, think=bool(think))
        for conversation in self._conversations(messages, tools):
            form = self._probe.form(conversation, has_tools=bool(tools))
            try:
                return self._execute(
                    template_variables(self._source, conversation, tools, think, form)
                )
            except TemplateError as e:
                refusal = refusal or e
                if as_sent:
                    break
        assert refusal is not None
        raise refusal

    def _conversations(
        self, messages: Sequence[Message], tools: Sequence[Tool]
    ) -> Iterator[Sequence[Message]]:
        """Yield the conversation as it was sent, then with more and more changes."""
        adapted = self._adapted(messages, tools)
        yield adapted
        for conversation in reorderings(self._adapted(with_developers_as_system(messages), tools)):
            if conversation != adapted:
                yield conversation

    def _adapted(self, messages: Sequence[Message], tools: Sequence[Tool]) -> Sequence[Message]:
        return adapt(messages, tools, self._probe, self._tool_texts)

    def _execute(self, variables: Mapping[str, object]) -> str:
        try:
            return self._template.render(variables)
        except MemoryError:
            raise
        except Exception as e:
            raise TemplateError(f"the model's chat template failed: {_reason(e)}") from e


def _split_begun_answer(messages: Sequence[Message]) -> tuple[Sequence[Message], str]:
    """Return the finished messages, and the text of an answer that was begun after them."""
    if len(messages) > 1 and messages[-1].role == "assistant" and not messages[-1].tool_calls:
        return messages[:-1], messages[-1].content
    return messages, ""


def _reason(error: Exception) -> str:
    """Return where and why a template failed: Jinja's own message, but only the type of others."""
    if isinstance(error, TemplateSyntaxError):
        lines = [error.lineno]
    else:
        frames = walk_tb(error.__traceback__)
        lines = [line for frame, line in frames if frame.f_code.co_filename == "<template>"]
    why = error.message if isinstance(error, JinjaError) else type(error).__name__
    if isinstance(error, RecursionError | SyntaxError):
        why = "nested too deeply"
    return "".join(f"line {line}: " for line in lines[-1:]) + str(why)[:_MAX_REASON]


def _raise_exception(message: object) -> NoReturn:
    raise JinjaError(str(message))


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)  # noqa: DTZ005 - the model is told the user's own time


def _tojson(
    value: object,
    indent: int | str | None = None,
    *,
    ensure_ascii: bool = False,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Write JSON as the template's authors do: characters stay, and nothing is escaped for HTML."""
    return json.dumps(
        value,
        default=_list_of_iterator,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _list_of_iterator(value: object) -> list[object]:
    """Return what a filter such as `map` yields; raises TypeError for what is no JSON."""
    if isinstance(value, Iterator):
        return list(value)
    raise TypeError
