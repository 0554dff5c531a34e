"""Detect tool, thinking and insert support from the text of chat templates."""

import re
from collections.abc import Iterator
from typing import Final

from server.prompt.template import GoTemplate

_TOOL_ROLE: Final = re.compile(r"""role['"]\] == ['"]tool['"]|message\.role == ['"]tool['"]""")
_SPLIT_THINKING: Final = re.compile(r"""content\.split\((['"])</think>\1\)""")


def of_jinja(source: str) -> frozenset[str]:
    """Return the features that a Jinja template supports."""
    return frozenset(_jinja_features(source))


def _jinja_features(source: str) -> Iterator[str]:
    if "tools" in source or "tool_call" in source:
        yield "tools"
    tagged = "<think>" in source and "</think>" in source
    handled_elsewhere = "reasoning_content" in source or "<SPECIAL_12>" in source
    if tagged or (_SPLIT_THINKING.search(source) and not handled_elsewhere):
        yield "thinking"


def of_go(template: GoTemplate) -> frozenset[str]:
    """Return the features that a Go template supports."""
    return frozenset(_go_features(template))


def _go_features(template: GoTemplate) -> Iterator[str]:
    if "tools" in template.variables:
        yield "tools"
    if "suffix" in template.variables:
        yield "insert"
    if template.thinking_tags:
        yield "thinking"


def prefers_jinja(go: GoTemplate, go_source: str, jinja: str) -> bool:
    """Tell whether a model's Jinja template is better than its Go template.

    The one with more features wins, but a template that only declares tools does not win over one
    that shows tool calls and their results to the model.
    """
    can_jinja, can_go = of_jinja(jinja), of_go(go)
    jinja_returns = _jinja_shows_results(jinja)
    go_returns = _go_shows_results(go, go_source)
    if len(can_jinja) > len(can_go):
        return jinja_returns or not go_returns
    return can_jinja == can_go and "tools" in can_go and jinja_returns and not go_returns


def _go_shows_results(template: GoTemplate, source: str) -> bool:
    words = ('eq .Role "tool"', "tool_response", "TOOL_RESULTS")
    has_tools = {"tools", "toolcalls"} <= template.variables
    return has_tools and any(word in source for word in words)


def _jinja_shows_results(source: str) -> bool:
    if not ("tool_calls" in source or "assistant_tool_call" in source):
        return False
    words = ("tool_response", "tool_results", "ipython")
    return any(word in source for word in words) or bool(_TOOL_ROLE.search(source))
