"""Counts of parameters in short form: 7.6B, 494.03M."""

_UNITS = ((10**9, "B", 1), (10**6, "M", 2))
_THOUSAND = 10**3


def shown_count(number: int) -> str:
    """Return a number of parameters in short: 7.6B, 494.03M, 260K."""
    for unit, letter, decimals in _UNITS:
        if number >= unit:
            return f"{number / unit:.{decimals if number % unit else 0}f}{letter}"
    if number >= _THOUSAND:
        return f"{number / _THOUSAND:.0f}K"
    return str(number)
