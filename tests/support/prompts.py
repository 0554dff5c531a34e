"""Prompts whose number of tokens is known, for the vocabulary of the tiny models."""

import random

from tests.support.tiny_models import WORDS

PLAIN_WORDS = tuple(word.strip() for word in WORDS if word.startswith(" ") and word.isascii())
"""Each is one token when it follows another word."""


def prompt_of(n_tokens: int, *, seed: int = 0) -> str:
    """Return random words that are `n_tokens` tokens, BOS included."""
    return " ".join(random.Random(seed).choices(PLAIN_WORDS, k=n_tokens - 1))
