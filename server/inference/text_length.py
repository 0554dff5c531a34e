"""Refuse or cut texts that cannot fit a context, before they are rendered or tokenized as a whole.

A tokenizer takes a hundred bytes of memory for each byte of text. Only the beginning of a long text
is tokenized at first: if it has more tokens than the context already, the rest need not be.
"""

from collections.abc import Sequence

from runners.host.client import RunnerClient
from runners.protocol.messages import EmbedInput
from server.errors import BadRequest, PromptTooLong

INPUT_TOO_LONG = "the input length exceeds the context length"
"""What clients know of an input that must not be cut."""
MIN_CHARACTERS = 1 << 20
"""Characters that a prompt may have, and a text whose tokens are counted, with any context."""
MIN_TOKENS = 1 << 16
"""Tokens that are turned into text whatever the context is."""
_MIN_UNCHECKED = 1 << 18
_MAX_CHARACTERS_PER_TOKEN = 256
_CHARACTERS_PER_TOKEN = 8


def usual_characters(n_ctx: int) -> int:
    """Return a number of characters that few texts of `n_ctx` tokens have."""
    return n_ctx * _CHARACTERS_PER_TOKEN


def unchecked(n_ctx: int) -> int:
    """Return how many characters of a text are tokenized whatever it is.

    They are more than most texts have that fit `n_ctx` tokens.
    """
    return min(MIN_CHARACTERS, max(_MIN_UNCHECKED, usual_characters(n_ctx)))


def max_characters(n_ctx: int) -> int:
    """Return how many characters `n_ctx` tokens can have, in any vocabulary."""
    return max(MIN_CHARACTERS, n_ctx * _MAX_CHARACTERS_PER_TOKEN)


def too_long(n_characters: int, n_ctx: int) -> PromptTooLong:
    """Return the refusal of a prompt."""
    return PromptTooLong(
        f"the prompt of {n_characters} characters does not fit the context of {n_ctx} tokens; "
        "shorten it, or set a larger num_ctx"
    )


async def require_fit(runner: RunnerClient, text: str, n_ctx: int) -> None:
    """Raise BadRequest for a long text that has more than `n_ctx` tokens."""
    if len(text) > max_characters(n_ctx) or not await begins_within(runner, text, n_ctx):
        raise too_long(len(text), n_ctx)


def require_countable(text: str, n_ctx: int) -> None:
    """Raise BadRequest for a text whose tokens are not counted for a model with this context."""
    limit = max(MIN_CHARACTERS, usual_characters(n_ctx))
    if len(text) > limit:
        raise BadRequest(
            f"the text of {len(text)} characters is too long for this model, for which at most "
            f"{limit} are tokenized; split it"
        )


def require_few_tokens(n_tokens: int, n_ctx: int) -> None:
    """Raise BadRequest for more tokens to turn into text than a model with this context takes."""
    limit = max(MIN_TOKENS, n_ctx)
    if n_tokens > limit:
        raise BadRequest(f"{n_tokens} tokens are too many for this model: at most {limit} are read")


async def cut_inputs(
    runner: RunnerClient, inputs: Sequence[EmbedInput], n_ctx: int, *, truncate: bool = True
) -> Sequence[EmbedInput]:
    """Return texts to embed without what lies behind the first `n_ctx` tokens of long ones.

    Raises:
        BadRequest: one would be cut, and must not be: `truncate` is not set.
    """
    if all(len(text) <= unchecked(n_ctx) for text in inputs):
        return inputs
    cut = [await _cut(runner, text, n_ctx) for text in inputs]
    if not truncate and cut != list(inputs):
        raise BadRequest(INPUT_TOO_LONG)
    return cut


async def _cut(runner: RunnerClient, text: EmbedInput, n_ctx: int) -> EmbedInput:
    if not isinstance(text, str):
        return text
    fits = await begins_within(runner, text, n_ctx)
    return text[: max_characters(n_ctx) if fits else unchecked(n_ctx)]


async def begins_within(runner: RunnerClient, text: str, n_ctx: int) -> bool:
    """Return whether the beginning of a long text has at most `n_ctx` tokens."""
    for length in dict.fromkeys((unchecked(n_ctx), MIN_CHARACTERS)):
        if len(text) <= length:
            return True
        if len(await runner.tokenize(text[:length])) > n_ctx:
            return False
    return True
