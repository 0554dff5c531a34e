"""Log probabilities of a token and of its alternatives, in natural logarithms."""

import msgspec


class TokenAlternative(msgspec.Struct, frozen=True, array_like=True):
    """A token's text (bytes that need not be whole UTF-8) and its natural-log probability."""

    text: bytes
    logprob: float


class TokenLogprob(msgspec.Struct, frozen=True, array_like=True):
    """The chosen token and the most probable tokens in its place, best first."""

    chosen: TokenAlternative
    top: tuple[TokenAlternative, ...]
