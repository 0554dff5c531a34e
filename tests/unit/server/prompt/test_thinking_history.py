"""What a model thought before the user's last question is no part of what it reads."""

import pytest

from server.prompt.messages import Message
from server.prompt.thinking_history import strip_old_thinking, strips_old_thinking
from tests.support.conversations import MORE, RESULT, USER, answer


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        ("<think>T</think>A", "A"),
        ("\n <think>\nT\n</think>\n\nA b ", "A b "),
        ("<think>T</think><think>U</think>A", "<think>U</think>A"),
        ("<think>T", ""),
        ("<think></think>", ""),
        ("A<think>T</think>", "A<think>T</think>"),
        ("  A", "  A"),
        ("", ""),
        ("</think>A", "</think>A"),
    ],
)
def test_only_the_answer_is_kept(content: str, kept: str) -> None:
    turns = [USER, answer(content, thinking="X"), MORE]

    assert strip_old_thinking(turns) == [USER, answer(kept, thinking="X"), MORE]


def test_what_follows_the_last_question_stays() -> None:
    """The model goes on thinking where it called a tool."""
    thought = answer("<think>T</think>A")
    turns = [USER, thought, MORE, thought, RESULT, thought]

    assert strip_old_thinking(turns) == [USER, answer("A"), MORE, thought, RESULT, thought]


def test_what_the_user_says_stays() -> None:
    turns = [Message("user", "<think>T</think>A"), MORE]

    assert strip_old_thinking(turns) == turns
    assert strip_old_thinking([answer("<think>T</think>A")]) == [answer("<think>T</think>A")]


@pytest.mark.parametrize(
    ("family", "name", "forgets"),
    [
        ("qwen3", "mine", True),
        ("qwen2", "deepseek-r1", True),
        ("qwen3moe", "qwen3", False),
        ("qwen2", "deepseek-r1-mine", False),
    ],
)
def test_models_of_two_kinds_forget(family: str, name: str, forgets: bool) -> None:
    assert strips_old_thinking(family, name) is forgets
