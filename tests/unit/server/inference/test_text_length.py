"""Texts that cannot fit a context are refused or cut before they are tokenized as a whole."""

import pytest

from server.errors import BadRequest
from server.inference.text_length import (
    MIN_CHARACTERS,
    MIN_TOKENS,
    cut_inputs,
    max_characters,
    require_countable,
    require_few_tokens,
    require_fit,
    unchecked,
)

pytestmark = pytest.mark.anyio


class FakeRunner:
    """Makes a token of every `size` characters, and notes how much it was sent."""

    def __init__(self, size: int = 1) -> None:
        self._size = size
        self.n_characters = 0

    async def tokenize(self, text: str) -> tuple[int, ...]:
        self.n_characters += len(text)
        return (0,) * (len(text) // self._size)


async def test_a_text_of_ordinary_size_is_the_runners_affair() -> None:
    runner = FakeRunner()

    await require_fit(runner, "a" * unchecked(16), n_ctx=16)

    assert runner.n_characters == 0


async def test_a_long_text_that_fits_passes() -> None:
    await require_fit(FakeRunner(100), "a" * (MIN_CHARACTERS + 1), n_ctx=20_000)


async def test_a_long_text_that_does_not_fit_is_refused_after_its_beginning() -> None:
    runner = FakeRunner()
    with pytest.raises(BadRequest, match="the prompt of 20000000 characters does not fit"):
        await require_fit(runner, "a" * 20_000_000, n_ctx=100_000)

    assert runner.n_characters == unchecked(100_000) <= MIN_CHARACTERS


async def test_a_small_context_takes_less_of_a_text_to_refuse_it() -> None:
    runner = FakeRunner()
    with pytest.raises(BadRequest):
        await require_fit(runner, "a" * MIN_CHARACTERS, n_ctx=4096)

    assert runner.n_characters == unchecked(4096) == MIN_CHARACTERS // 4


async def test_a_text_that_fits_in_no_vocabulary_is_refused_unread() -> None:
    runner = FakeRunner(1000)
    with pytest.raises(BadRequest, match="does not fit the context of 4096 tokens"):
        await require_fit(runner, "a" * (max_characters(4096) + 1), n_ctx=4096)

    assert runner.n_characters == 0


async def test_a_long_input_is_cut_behind_the_context() -> None:
    runner = FakeRunner()
    tokens = (1, 2, 3)

    short, ids, long = await cut_inputs(runner, ["a", tokens, "b" * 5_000_000], n_ctx=512)

    assert (short, ids) == ("a", tokens)
    assert long == "b" * unchecked(512)


async def test_an_input_of_few_tokens_stays_whole() -> None:
    text = "a" * (MIN_CHARACTERS + 100)

    assert await cut_inputs(FakeRunner(10_000), [text], n_ctx=8192) == [text]


async def test_an_input_that_must_not_be_cut_is_refused() -> None:
    with pytest.raises(BadRequest, match="the input length exceeds the context length"):
        await cut_inputs(FakeRunner(), ["a" * 5_000_000], n_ctx=512, truncate=False)


def test_tokens_are_counted_up_to_a_bound_that_grows_with_the_context() -> None:
    require_countable("a" * MIN_CHARACTERS, n_ctx=0)
    require_countable("a" * 3_000_000, n_ctx=1 << 20)
    with pytest.raises(BadRequest, match=f"at most {MIN_CHARACTERS} are tokenized; split it"):
        require_countable("a" * (MIN_CHARACTERS + 1), n_ctx=4096)


def test_tokens_are_turned_into_text_up_to_a_bound_that_grows_with_the_context() -> None:
    require_few_tokens(MIN_TOKENS, n_ctx=0)
    require_few_tokens(1 << 20, n_ctx=1 << 20)
    with pytest.raises(BadRequest, match=f"at most {MIN_TOKENS} are read"):
        require_few_tokens(MIN_TOKENS + 1, n_ctx=4096)
