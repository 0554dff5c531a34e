"""The chat template that a model file brings along, executed as the hostile program it may be."""

import json
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError as JinjaError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from server.errors import TemplateError
from server.prompt.messages import Message, Think, Tool

_LARGEST_OUTPUT = 64 * 2**20
_SECONDS = 5.0


class _Environment(ImmutableSandboxedEnvironment):
    """A sandbox that also ends templates that run too long."""

    def call(self, context: Any, obj: Any, *args: Any, **kwargs: Any) -> Any:
        if time.monotonic() > context.environment.globals["deadline"]():
            raise SecurityError("the template runs too long")
        return super().call(context, obj, *args, **kwargs)


def _refuse(message: str) -> NoReturn:
    raise JinjaError(message)


class JinjaTemplate:
    """A compiled template; `render` may be called from one thread at a time."""

    def __init__(self, source: str, *, bos: str, eos: str) -> None:
        self._deadline = 0.0
        environment = _Environment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _tojson
        environment.globals = {
            "range": environment.globals["range"],
            "namespace": environment.globals["namespace"],
            "dict": dict,
            "raise_exception": _refuse,
            "strftime_now": lambda form: datetime.now().strftime(form),  # noqa: DTZ005 - local
            "bos_token": bos,
            "eos_token": eos,
            "deadline": lambda: self._deadline,
        }
        try:
            self._template = environment.from_string(source)
        except (JinjaError, RecursionError, ValueError) as e:
            raise TemplateError(f"the model's chat template cannot be parsed: {e}") from e

    def render(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think | None
    ) -> str:
        """Return the prompt; raises TemplateError when the template fails or takes too much."""
        values: dict[str, object] = {
            "messages": [_as_mapping(message) for message in messages],
            "add_generation_prompt": not messages or messages[-1].role != "assistant",
        }
        if tools:
            values["tools"] = [_tool(tool) for tool in tools]
        if think is not None:
            values["enable_thinking"] = bool(think)
        if isinstance(think, str):
            values["reasoning_effort"] = think
        self._deadline = time.monotonic() + _SECONDS
        size, parts = 0, []
        try:
            for part in self._template.generate(**values):
                size += len(part)
                if size > _LARGEST_OUTPUT or time.monotonic() > self._deadline:
                    raise TemplateError("the model's chat template takes too much time or space")
                parts.append(part)
        except (
            JinjaError,
            TypeError,
            ValueError,
            LookupError,
            ArithmeticError,
            RecursionError,
            AttributeError,
            MemoryError,
        ) as e:
            raise TemplateError(f"the model's chat template failed: {e}") from e
        return "".join(parts)


def _tojson(value: object, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


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
