"""The number of tokens that a stream tells before the prompt is counted."""

from typing import Any

import pytest

from server.anthropic.estimate import estimated_tokens
from server.anthropic.schemas import MessagesRequest


def estimate(**fields: Any) -> int:
    return estimated_tokens(MessagesRequest.model_validate(fields))


@pytest.mark.parametrize(
    ("fields", "n_bytes"),
    [
        ({"messages": [{"role": "user", "content": "x" * 36}]}, 40),
        ({"messages": [{"role": "user", "content": "é" * 18}]}, 40),
        ({"system": "x" * 40, "messages": []}, 40),
        ({"messages": [{"role": "", "content": [{"type": "thinking", "thinking": "x" * 8}]}]}, 8),
        ({"messages": [{"role": "", "content": [{"type": "tool_use", "input": {"a": 1}}]}]}, 8),
        (
            {"messages": [{"role": "", "content": [{"type": "tool_result", "content": "x" * 12}]}]},
            12,
        ),
        ({"tools": [{"name": "ab", "description": "cd", "input_schema": {"a": 1}}]}, 12),
        ({"messages": [{"role": "", "content": [{"type": "image"}]}]}, 4),
    ],
)
def test_it_is_a_quarter_of_the_bytes_and_at_least_one(
    fields: dict[str, Any], n_bytes: int
) -> None:
    assert estimate(**fields) == n_bytes // 4
