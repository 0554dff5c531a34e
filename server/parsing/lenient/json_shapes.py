"""Read tool calls from decoded JSON in the shapes of other models and APIs.

Models learned several: `{"name", "arguments"}` (Hermes, Qwen), `{"name", "parameters"}` (Llama),
`{"type": "function", "function": {...}}` and `{"tool_calls": [...]}` (OpenAI), `{"action",
"action_input"}` (LangChain), `{"tool", "tool_input"}`, `{"get_weather": {...}}`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from server.parsing.json_decoding import InvalidJSON, decode_json_object
from server.parsing.lenient.schema_check import arguments_fit
from server.parsing.parser import Call
from server.prompt.messages import Tool

NAME_KEYS: Final = ("name", "tool", "tool_name", "function", "function_name", "action")
_ARGUMENT_KEYS: Final = (
    "arguments",
    "parameters",
    "args",
    "params",
    "input",
    "action_input",
    "tool_input",
    "tool_args",
    "function_args",
)
_LIST_KEYS: Final = ("tool_calls", "function_calls", "calls")
_EXTRA_KEYS: Final = frozenset({"id", "index", "type", "call_id", "tool_call_id"})
_FIRST_KEYS: Final = (*NAME_KEYS, *_ARGUMENT_KEYS, *_LIST_KEYS, "type")
_MAX_DEPTH: Final = 4


@dataclass(frozen=True)
class OfferedTools:
    """The tools of a request under each name that the model may write for them."""

    by_name: Mapping[str, Tool]

    @classmethod
    def of(cls, tools: Sequence[Tool], shown: Sequence[Tool]) -> "OfferedTools":
        """Return `tools`, which the prompt showed to the model as `shown`, in the same order."""
        names = {seen.name: tool for tool, seen in zip(tools, shown, strict=True)}
        return cls({name: tool for name, tool in (names | _by_own_name(tools)).items() if name})

    @cached_property
    def first_keys(self) -> tuple[str, ...]:
        """What the first key of an object can be that is a call."""
        return (*_FIRST_KEYS, *self.by_name)

    def call(self, name: str, arguments: object) -> Call | None:
        """Return the call of an offered tool whose arguments fit its schema, else None."""
        tool = self.by_name.get(name)
        if isinstance(arguments, str):
            try:
                arguments = decode_json_object(arguments)
            except InvalidJSON:
                return None
        if tool is None or not isinstance(arguments, dict):
            return None
        return Call(tool.name, arguments) if arguments_fit(arguments, tool.parameters) else None

    def calls(self, value: object, depth: int = 0) -> tuple[Call, ...] | None:
        """Return the calls that a JSON value consists of, None when any part of it is not one."""
        if depth > _MAX_DEPTH:
            return None
        if isinstance(value, list):
            return self._all_calls(value, depth)
        if not isinstance(value, dict):
            return None
        listed = next((value[key] for key in _LIST_KEYS if key in value), None)
        if listed is not None:
            is_all = len(value) == 1 and isinstance(listed, list)
            return self._all_calls(listed, depth) if is_all else None
        if isinstance(value.get("function"), dict):
            extra = value.keys() - {"function"}
            return self.calls(value["function"], depth + 1) if extra <= _EXTRA_KEYS else None
        call = self._call_of_object(value)
        return None if call is None else (call,)

    def _all_calls(self, values: Sequence[object], depth: int) -> tuple[Call, ...] | None:
        calls: list[Call] = []
        for value in values:
            inner = self.calls(value, depth + 1)
            if inner is None:
                return None
            calls += inner
        return tuple(calls) or None

    def _call_of_object(self, value: Mapping[str, object]) -> Call | None:
        if len(value) == 1 and (name := next(iter(value))) in self.by_name:
            return self.call(name, value[name]) if value[name] else None
        name_key = next((key for key in NAME_KEYS if key in value), None)
        if name_key is None:
            return None
        tool_name, rest = value[name_key], value.keys() - {name_key}
        if not isinstance(tool_name, str) or tool_name not in self.by_name:
            return None
        key = next((key for key in _ARGUMENT_KEYS if key in value), None)
        if key is not None and rest - {key} <= _EXTRA_KEYS:
            call = self.call(tool_name, value[key])
            if call is not None:
                return call
        # Arguments beside the name: {"name": "get_weather", "city": "Paris"}
        return self.call(tool_name, {item: value[item] for item in value if item in rest} or None)


def _by_own_name(tools: Sequence[Tool]) -> dict[str, Tool]:
    return {tool.name: tool for tool in tools}
