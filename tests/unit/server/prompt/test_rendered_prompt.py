"""A rendered prompt tells where a text in it ends."""

from server.prompt.rendered_prompt import RenderedPrompt

PROMPT = RenderedPrompt("<|turn|>user\nBe brief, Zoë.\n\nHello<|end|>")


def test_end_of_a_text_is_counted_in_bytes() -> None:
    assert PROMPT.bytes_until("Be brief, Zoë.") == len("<|turn|>user\nBe brief, Zoë.".encode())


def test_text_that_is_not_there_ends_nowhere() -> None:
    assert PROMPT.bytes_until("Be long.") == PROMPT.bytes_until("") == 0
