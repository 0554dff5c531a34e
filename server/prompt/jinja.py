"""The chat template that a model file brings along, executed as the hostile program it may be."""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from traceback import walk_tb
from typing import Final, NoReturn

from jinja2 import TemplateError as JinjaError
from jinja2 import TemplateSyntaxError, pass_environment

from server.errors import TemplateBudgetExceeded, TemplateError
from server.prompt.adaptation import adapt
from server.prompt.messages import Message, Think, Tool
from server.prompt.render_budget import (
    MOST_SECONDS,
    Allowance,
    limit,
    whole_size,
)
from server.prompt.role_order import reorderings
from server.prompt.sandbox import ALLOWANCE, Sandbox
from server.prompt.system_messages import with_developers_as_system
from server.prompt.template_probe import TemplateProbe
from server.prompt.template_variables import template_variables

_LONGEST_SOURCE: Final = 1 << 16
_WIDEST_DATE: Final = 256
"""How many characters one character of a form for dates can print."""
_OPEN_THOUGHT: Final = re.compile(r"<think>\s*\Z")
_EMPTY_THOUGHT: Final = "<think>\n\n</think>\n\n"
_LONGEST_REASON: Final = 500
_DEEPEST: Final = 1 << 10
"""More levels than Python can encode."""


class JinjaTemplate:
    """A compiled template; a rendering ends after so many `seconds` of the `clock`.

    `bos` and `eos` are what it prints for the tokens of those names.
    """

    def __init__(
        self,
        source: str,
        *,
        bos: str,
        eos: str,
        clock: Callable[[], float] = time.monotonic,
        seconds: float = MOST_SECONDS,
    ) -> None:
        if len(source) > _LONGEST_SOURCE:
            raise TemplateError(
                f"the model's chat template is longer than {_LONGEST_SOURCE} characters"
            )
        self._clock, self._seconds, self.bos, self.source = clock, seconds, bos, source
        environment = Sandbox()
        environment.filters["tojson"] = _tojson
        environment.globals |= {
            "raise_exception": _refuse,
            "strftime_now": _now,
            "bos_token": bos,
            "eos_token": eos,
        }
        try:
            self._template = environment.from_string(source)
        except Exception as e:
            raise TemplateError(f"the model's chat template cannot be parsed: {_reason(e)}") from e
        self._probe = TemplateProbe(
            lambda messages, tools, form: self._execute(
                template_variables(messages, tools, None, form)
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
        """Return the prompt; raises TemplateError when the template fails or takes too much.

        A conversation that the template refuses is tried again with its roles reordered, unless it
        must be rendered `as_sent`. An answer that the assistant has begun is left open, for the
        model to continue it. It is past its thinking: what the template opens for that is closed.
        """
        finished, begun = _begun(messages)
        prompt = self._render_accepted(finished, tools, think, as_sent=as_sent)
        return _OPEN_THOUGHT.sub(_EMPTY_THOUGHT, prompt) + begun if begun else prompt

    def _render_accepted(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool],
        think: Think | None,
        *,
        as_sent: bool,
    ) -> str:
        refusal: TemplateError | None = None
        for conversation in self._conversations(messages):
            form = self._probe.form(conversation)
            try:
                return self._execute(template_variables(conversation, tools, think, form))
            except TemplateBudgetExceeded:
                raise
            except TemplateError as e:
                refusal = refusal or e
                if as_sent:
                    break
        assert refusal is not None
        raise refusal

    def _conversations(self, messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
        """Yield the conversation as it was sent, then with more and more changes."""
        adapted = adapt(messages, self._probe)
        yield adapted
        without_developers = adapt(with_developers_as_system(messages), self._probe)
        for conversation in reorderings(without_developers):
            if conversation != adapted:
                yield conversation

    def _execute(self, variables: Mapping[str, object]) -> str:
        token = ALLOWANCE.set(Allowance(self._clock, self._seconds))
        try:
            return self._template.render(variables)
        except TemplateError:
            raise
        except Exception as e:
            raise TemplateError(f"the model's chat template failed: {_reason(e)}") from e
        finally:
            ALLOWANCE.reset(token)


def _begun(messages: Sequence[Message]) -> tuple[Sequence[Message], str]:
    """Return the finished messages, and the text of an answer that was begun after them."""
    if len(messages) > 1 and messages[-1].role == "assistant" and not messages[-1].tool_calls:
        return messages[:-1], messages[-1].content
    return messages, ""


def _reason(error: Exception) -> str:
    """Return where a template failed and why: what Jinja says of it, but not what Python says."""
    if isinstance(error, TemplateSyntaxError):
        lines = [error.lineno]
    else:
        frames = walk_tb(error.__traceback__)
        lines = [line for frame, line in frames if frame.f_code.co_filename == "<template>"]
    why = error.message if isinstance(error, JinjaError) else type(error).__name__
    if isinstance(error, RecursionError | SyntaxError):
        why = "nested too deeply"
    return "".join(f"line {line}: " for line in lines[-1:]) + str(why)[:_LONGEST_REASON]


def _refuse(message: object) -> NoReturn:
    raise JinjaError(str(message))


def _now(form: str) -> str:
    limit(len(form) * _WIDEST_DATE)
    return datetime.now().strftime(form)  # noqa: DTZ005 - the model is told the user's own time


@pass_environment
def _tojson(
    environment: Sandbox,
    value: object,
    indent: int | str | None = None,
    *,
    ensure_ascii: bool = False,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    whole_size(value)
    limit(_DEEPEST * (indent if isinstance(indent, int) else len(indent or "")))
    encoder = json.JSONEncoder(
        ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )
    plain = indent is None and separators is None
    return environment.joined([encoder.encode(value)] if plain else encoder.iterencode(value))
