"""Log probabilities in replies."""

import msgspec


class Alternative(msgspec.Struct, omit_defaults=True, frozen=True):
    """A token and its natural-log probability; `bytes` are the UTF-8 bytes of its text."""

    token: str
    logprob: float
    bytes: tuple[int, ...] = ()


class Logprob(msgspec.Struct, omit_defaults=True, frozen=True):
    """The chosen token, and the most probable ones in its place when they were asked for."""

    token: str
    logprob: float
    bytes: tuple[int, ...] = ()
    top_logprobs: tuple[Alternative, ...] = ()
