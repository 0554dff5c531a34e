"""The chat template that a model file brings along, executed as the hostile program it may be."""

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from traceback import walk_tb
from typing import Final, NoReturn

from jinja2 import TemplateError as JinjaError
from jinja2 import TemplateSyntaxError, pass_environment

from server.errors import TemplateError
from server.prompt.messages import Message, Think, Tool
from server.prompt.render_budget import MOST_SECONDS, Allowance, limit, whole_size
from server.prompt.sandbox import ALLOWANCE, Sandbox

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

    def render(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str:
        """Return the prompt; raises TemplateError when the template fails or takes too much.

        An answer that the assistant has begun is left open, for the model to go on with it. It is
        past its thinking then: what the template opens for that is closed.
        """
        finished, begun = _begun(messages)
        values: dict[str, object] = {
            "messages": [_as_mapping(message) for message in finished],
            "add_generation_prompt": True,
        }
        if tools:
            values["tools"] = [_tool(tool) for tool in tools]
        if think is not None:
            values["enable_thinking"] = bool(think)
        if isinstance(think, str):
            values["reasoning_effort"] = think
        token = ALLOWANCE.set(Allowance(self._clock, self._seconds))
        try:
            prompt = self._template.render(values)
            return _OPEN_THOUGHT.sub(_EMPTY_THOUGHT, prompt) + begun if begun else prompt
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


def _as_mapping(message: Message) -> Mapping[str, object]:
    fields: dict[str, object] = {"role": message.role, "content": message.content}
    if message.tool_name:
        fields["name"] = message.tool_name
    if message.tool_call_id:
        fields["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        fields["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": dict(call.arguments)},
            }
            for call in message.tool_calls
        ]
    return fields


def _tool(tool: Tool) -> Mapping[str, object]:
    return {
        "type": tool.type or "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": dict(tool.parameters),
        },
    }
