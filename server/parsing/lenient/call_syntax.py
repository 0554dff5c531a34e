"""Tokens around tool calls in the syntaxes of all model families, for lenient reading."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from server.parsing.lenient.json_shapes import NAME_KEYS, OfferedTools

FENCE: Final = "```"
FENCE_LANGUAGES: Final = frozenset(
    {"", "json", "tool", "tool_call", "tool_calls", "tool_code", "function_call", "xml"}
)
_ELEMENTS: Final = (
    "tool_call",
    "tool_calls",
    "toolcall",
    "TOOLCALL",
    "tools",
    "function_call",
    "function_calls",
    "functioncall",
    "minimax:tool_call",
    "seed:tool_call",
)
_OPENINGS: Final = frozenset(
    {
        *(f"<{name}>" for name in _ELEMENTS),
        "[TOOL_CALLS]",
        "<|tool_call|>",
        "<|tool_call>",
        "<|tool_call_start|>",
        "<|python_tag|>",
        "<|tool_calls_section_begin|>",
        "<|tool_call_begin|>",
        "<｜tool▁calls▁begin｜>",
        "<｜tool▁call▁begin｜>",
        "<|action_start|>",
    }
)
TAGS_WITH_NAME: Final = frozenset({"<function=", '<function name="', '<invoke name="'})
"""Tags that a tool's name follows."""
CALL_ENDS: Final = frozenset({*(f"</{name}>" for name in _ELEMENTS), "</function>", "</invoke>"})
"""Tags after which a tool that was named has all its arguments."""
_OTHERS: Final = frozenset(
    {
        *(f"<{end}{name}>" for name in ("name", "arguments", "parameters") for end in ("", "/")),
        "[ARGS]",
        "Action:",
        "Action Input:",
        "functools",
        "<|/tool_call|>",
        "<tool_call|>",
        "<|tool_call_end|>",
        "<|tool_call_argument_begin|>",
        "<|tool_calls_section_end|>",
        "<｜tool▁sep｜>",
        "<｜tool▁call▁end｜>",
        "<｜tool▁calls▁end｜>",
        "<|plugin|>",
        "<|action_end|>",
    }
)
TOKENS: Final = _OPENINGS | TAGS_WITH_NAME | CALL_ENDS | _OTHERS
"""What may stand around calls; it means nothing by itself."""
_TEXT_OPENINGS: Final = frozenset(
    {*_OPENINGS, *TAGS_WITH_NAME, "\n```", "\nAction:", "\nfunctools["}
)
_MAX_TOOL_ELEMENTS: Final = 64
PARAMETER: Final = re.compile(
    r'<parameter(?:=| name=")(?P<tag>[^<>"\n]{1,128})"?>'
    r"|<arg_key>(?P<pair>[^<]{1,128})</arg_key>\s{0,8}<arg_value>"
    r"|<(?P<element>[\w.\-]{1,128})>"
)
"""The start of an argument; the group that matched tells how its value ends."""
_INCOMPLETE_PARAMETER: Final = re.compile(
    r"<(p(a(r(a(m(e(t(e(r([= ][^<>\n]*)?)?)?)?)?)?)?)?)?"
    r"|arg_key>[^<]*(</?[a-z_]*>?\s*<?[a-z_]*)?|[\w.\-]*)"
)
_MAX_PARAMETER_START: Final = 320
_HEAD: Final = re.compile(r'[\[\s]*(\{\s*("(?P<key>[^"]*)(?P<end>"?)(?P<rest>.*))?)?', re.DOTALL)
_NAME_VALUE: Final = re.compile(r'\s*:\s*(?:"(?P<name>[^"]*)(?P<end>"?)|\{)?')
MAX_HEAD: Final = 512
"""How many characters decide whether JSON may be a call."""
_TYPES: Final = ("function", "tool_use", "tool_call", "function_call")


def text_openings(names: Iterable[str]) -> frozenset[str]:
    """Return the tokens that may start a call in the middle of a text."""
    elements = [f"<{name}>" for name in names]
    return _TEXT_OPENINGS.union(elements if len(elements) <= _MAX_TOOL_ELEMENTS else ())


def parameter_end(match: re.Match[str], properties: Mapping[str, object]) -> tuple[str, str] | None:
    """Return the name of the argument that starts with a match, and the tag that ends its value.

    None where an element is not named for a parameter.
    """
    if (name := match["tag"]) is not None:
        return name, "</parameter>"
    if (name := match["pair"]) is not None:
        return name.strip(), "</arg_value>"
    name = match["element"]
    return (name, f"</{name}>") if name in properties else None


def may_be_parameter(text: str, at: int) -> bool:
    """Tell whether `text` from `at` on may be the beginning of the start of an argument."""
    return len(text) - at < _MAX_PARAMETER_START and bool(_INCOMPLETE_PARAMETER.fullmatch(text, at))


def head_decision(head: str, tools: OfferedTools) -> bool | None:
    """Tell by its first characters whether JSON may be a call; None when too little is known."""
    match = _HEAD.fullmatch(head)
    if match is None:
        return False
    key = match["key"]
    if key is None:
        return None
    if not match["end"]:
        return None if any(known.startswith(key) for known in tools.first_keys) else False
    if key not in tools.first_keys:
        return False
    if key == "type":
        return _value_decision(match["rest"], _TYPES)
    return _value_decision(match["rest"], tools.by_name) if key in NAME_KEYS else True


def _value_decision(rest: str, allowed: Collection[str]) -> bool | None:
    match = _NAME_VALUE.match(rest)
    if match is None:
        return False if rest.strip() else None
    name = match["name"]
    if name is None:
        return True if match[0].endswith("{") else False if rest[match.end() :] else None
    if match["end"]:
        return name in allowed
    return None if any(one.startswith(name) for one in allowed) else False
