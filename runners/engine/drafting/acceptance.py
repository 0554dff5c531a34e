"""Acceptance rate of drafted tokens, estimated per request by the length of the match."""

_PRIORS = (0.1, 0.3, 0.55, 0.75, 0.87, 0.94)
"""Chance that a drafted token is accepted behind 1, 2 to 3, 4 to 7, 8 to 15, 16 to 31 and more
matching tokens, before anything is known about the request."""
_WEIGHT = 4.0
"""Observations that a prior counts for."""
_MEMORY = 0.95
"""What an observation counts for after the next one of the same length."""

_CLEAR = 0.98
"""Chance that a row is no near tie, before anything is known about the request."""
_FORGET = 0.002


class AcceptanceRate:
    """Learns how often the token behind a match of some length is the one that is sampled next.

    Every sampled token is an observation, whether a draft was computed or not: a request whose
    text repeats nothing stops drafting, and begins again, without computing a row to find out.
    """

    __slots__ = ("_clear", "_hits", "_total")

    def __init__(self) -> None:
        self._hits = [prior * _WEIGHT for prior in _PRIORS]
        self._total = [_WEIGHT] * len(_PRIORS)
        self._clear = _CLEAR

    @property
    def clear(self) -> float:
        """The chance that a row is no near tie."""
        return self._clear

    def record(self, n_matched: int, *, hit: bool) -> None:
        """Record whether the token predicted by a match of `n_matched` tokens was sampled."""
        level = _level(n_matched)
        self._hits[level] = self._hits[level] * _MEMORY + hit
        self._total[level] = self._total[level] * _MEMORY + 1
        self._clear += _FORGET * (_CLEAR - self._clear)

    def record_row(self, *, tied: bool) -> None:
        """Record whether a row was a near tie, which has to be computed without a draft."""
        self._clear += (1 - _MEMORY) * ((not tied) - self._clear)

    def chances(self, n_matched: int, count: int) -> list[float]:
        """Return the chance that all of the first 1, 2, … `count` drafted tokens are accepted."""
        chances, chance = [], self._clear  # a tie in the first row wastes the step
        for n in range(n_matched, n_matched + count):
            level = _level(n)
            chance *= self._clear * self._hits[level] / self._total[level]
            chances.append(chance)
        return chances


def _level(n_matched: int) -> int:
    return min(max(n_matched, 1).bit_length(), len(_PRIORS)) - 1
