"""A conversation that is too long loses its oldest turns, and nothing else."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.prompt.messages import Message
from server.prompt.truncate import fit_history

pytestmark = pytest.mark.anyio


def turns(text: str) -> list[Message]:
    """Return a message for each letter: capitals are instructions, the rest the user's."""
    return [
        Message("developer" if letter == "D" else "system" if letter.isupper() else "user", letter)
        for letter in text
    ]


class Measure:
    """Renders a message as its text and counts tokens; keeps what it was asked."""

    def __init__(self, tokens_per_letter: int = 1) -> None:
        self._tokens_per_letter = tokens_per_letter
        self.rendered: list[str] = []
        self.counted: list[str] = []

    async def render(self, messages: Sequence[Message]) -> str:
        self.rendered.append("".join(message.content for message in messages))
        return self.rendered[-1]

    async def count(self, text: str) -> int:
        self.counted.append(text)
        return self._tokens_per_letter * len(text)

    async def kept(self, messages: Sequence[Message], limit: int, *, image_tokens: int = 0) -> str:
        fitted = await fit_history(
            messages, self.render, self.count, limit, image_tokens=image_tokens
        )
        assert fitted.prompt == "".join(message.content for message in fitted.messages)
        return fitted.prompt


@pytest.mark.parametrize(
    ("history", "limit", "kept"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 5, "bcdef"),
        ("abcdef", 2, "ef"),
        ("abcdef", 1, "f"),
        ("abcdef", 0, "f"),
        ("f", 0, "f"),
        ("", 0, ""),
        ("Sabcdef", 3, "Sef"),
        ("Sabcdef", 0, "Sf"),
        ("SaTbUc", 4, "STUc"),
        ("SaTbUc", 5, "STbUc"),
        ("abcS", 2, "cS"),
        ("abcS", 0, "S"),
        ("DabSc", 3, "DSc"),
    ],
)
async def test_the_oldest_turns_go_but_never_the_last_or_a_system_text(
    history: str, limit: int, kept: str
) -> None:
    assert await Measure().kept(turns(history), limit) == kept


async def test_nothing_is_counted_when_even_the_bytes_fit() -> None:
    """No text has more tokens than bytes; counting costs a trip to the runner."""
    measure = Measure(tokens_per_letter=100)

    assert await measure.kept(turns("abc"), 3) == "abc"
    assert measure.counted == []


async def test_a_text_of_wide_characters_is_measured_in_bytes() -> None:
    measure = Measure(tokens_per_letter=3)

    assert await measure.kept([Message("user", "\u00e9"), Message("user", "\u00e9")], 3) == "\u00e9"
    assert measure.counted[0] == "\u00e9\u00e9"


async def test_a_text_whose_tokens_fit_is_kept_although_its_bytes_do_not() -> None:
    messages = [Message("user", "\u00e9" * 10), Message("user", "a")]

    assert await Measure().kept(messages, 11) == "\u00e9" * 10 + "a"


@pytest.mark.parametrize(
    ("limit", "kept"), [(24, "abc"), (23, "bc"), (9, "bc"), (8, "c"), (0, "c")]
)
async def test_each_image_counts_as_so_many_tokens(limit: int, kept: str) -> None:
    """Two images in the first turn, one in the second, none in the last."""
    turns = [Message("user", text, images=(b"",) * n) for text, n in (("a", 2), ("b", 1), ("c", 0))]

    assert await Measure().kept(turns, limit, image_tokens=7) == kept


async def test_a_long_conversation_costs_few_renderings() -> None:
    measure = Measure()

    assert await measure.kept(turns("a" * 1000), 10) == "a" * 10
    assert len(measure.rendered) < 15


@given(st.text("abS", max_size=40), st.integers(0, 45))
async def test_as_much_as_fits_is_kept(history: str, limit: int) -> None:
    """What halving finds is what dropping one turn after the other would."""
    choices = ["S" * history[:n].count("S") + history[n:] for n in range(len(history))]
    first_fit = next((kept for kept in choices if len(kept) <= limit), (choices or [""])[-1])

    assert await Measure().kept(turns(history), limit) == first_fit
