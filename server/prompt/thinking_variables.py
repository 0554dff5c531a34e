"""Variables by which Jinja chat templates switch thinking and set its level.

Most have a switch (`enable_thinking`, `thinking`) or a level (`reasoning_effort`). Some families
have words of their own, and are known by a part of their template.
"""

from collections.abc import Callable, Sequence
from typing import Final

from server.prompt.messages import Think

_SWITCHES: Final = ("enable_thinking", "thinking")
"""What templates call the choice to think; the second is that of Granite and DeepSeek."""

Variables = dict[str, object]


def thinking_variables(source: str, think: Think | None) -> Variables:
    """Return the variables of the template `source`; none when the client chose nothing."""
    if think is None:
        return {}
    variables: Variables = dict.fromkeys(_SWITCHES, bool(think))
    if think is False:
        variables["thinking_budget"] = 0  # of Seed-OSS
    if isinstance(think, str):
        variables["reasoning_effort"] = think
    for sign, family in _FAMILIES:
        if sign in source:
            variables |= family(think)
    return variables


def _hunyuan(think: Think) -> Variables:
    return {"reasoning_effort": "high" if think is True else think or "no_think"}


def _kimi_k3(think: Think) -> Variables:
    return {"thinking_effort": think} if isinstance(think, str) else {}


def _minimax_m3(think: Think) -> Variables:
    return {"thinking_mode": "enabled" if think else "disabled"}


def _solar_open(think: Think) -> Variables:
    return {} if think else {"reasoning_effort": "minimal"}


_FAMILIES: Final[Sequence[tuple[str, Callable[[Think], Variables]]]] = (
    ("'no_think'", _hunyuan),
    ("thinking_effort", _kimi_k3),
    ('thinking_mode == "enabled"', _minimax_m3),
    ("<|begin|>assistant<|think|><|end|>", _solar_open),
)
