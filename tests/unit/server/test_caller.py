"""Callers: which models a key may use, by its patterns."""

import pytest

from server.caller import Caller


@pytest.mark.parametrize(
    ("pattern", "model", "allowed"),
    [
        ("llama3.2", "llama3.2:latest", True),
        ("llama3.2", "llama3.2:1b", False),
        ("llama3.2:*", "llama3.2:1b", True),
        ("llama*", "llama3.2:1b", True),
        ("llama3.?", "Llama3.2:latest", True),
        ("hf.co/*", "hf.co/user/model:Q4_K_M", True),
        ("qwen3", "llama3.2:latest", False),
        ("*", "anything:latest", True),
    ],
)
def test_a_pattern_of_a_key_covers_names_with_their_tags(
    pattern: str, model: str, allowed: bool
) -> None:
    assert Caller(models=(pattern,)).may_use(model) is allowed


def test_a_key_without_patterns_is_for_every_model() -> None:
    assert Caller().may_use("anything:latest")
