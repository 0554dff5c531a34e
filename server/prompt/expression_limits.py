"""What would make a text far larger than what it is made of, refused before it is made."""

import re
from collections.abc import Sequence
from string import Formatter
from typing import Final

from server.prompt.render_budget import limit, size, too_much, whole_size

UNUSED: Final = frozenset("encode expandtabs from_bytes maketrans to_bytes translate".split())
"""Methods of texts and numbers that no chat template needs."""

_WIDEST: Final = 100_000
_LARGEST_NUMBER: Final = 1 << 13
"""In bytes, of a whole number."""
_SIZED_FILTERS: Final = frozenset("batch center indent round slice truncate".split())
_DIGITS: Final = re.compile(r"\d+")


def check_operation(operator: str, left: object, right: object) -> None:
    """Raise TemplateError when the result of an operator would be too large."""
    if operator == "%" and isinstance(left, str):
        _check_percent(left, right if isinstance(right, tuple) else (right,))
    elif operator == "+" and not isinstance(left, int | float):
        limit(size(left) + size(right))
    elif isinstance(left, int) and isinstance(right, int):
        _check_number(operator, left, right)
    elif operator == "*" and isinstance(right, int):
        limit(size(left) * right)
    elif operator == "*" and isinstance(left, int):
        limit(left * size(right))


def _check_number(operator: str, left: int, right: int) -> None:
    bits = left.bit_length() + right.bit_length() if operator == "*" else 0
    if operator == "**" and right > 0:
        bits = left.bit_length() * right
    if bits // 8 > _LARGEST_NUMBER:
        raise too_much()


def check_method(owner: object, name: str, values: Sequence[object]) -> None:
    """Raise TemplateError when a method would make a text that is too large."""
    if not isinstance(owner, str):
        return
    limit(len(owner))
    if name in ("format", "format_map"):
        _check_format(owner, values)
        return
    _check_numbers(values)
    if name == "replace":
        _check_replace(owner, *values[:2])


def check_filter(name: str, subject: object, values: Sequence[object]) -> None:
    """Raise TemplateError when a filter would make a text that is too large."""
    if isinstance(subject, str):
        limit(len(subject))
    if name in _SIZED_FILTERS:
        _check_numbers(values)
    if name == "format":
        _check_percent(str(subject), values)
    elif name == "replace":
        _check_replace(str(subject), *values[:2])
    elif name == "indent":
        widths = [value if isinstance(value, int) else size(value) for value in values]
        limit(len(str(subject).splitlines()) * max(widths, default=0))
    elif name == "sum" and any(isinstance(value, list | tuple) for value in values):
        raise too_much()


def _check_numbers(values: Sequence[object]) -> None:
    if any(isinstance(value, int) and abs(value) > _WIDEST for value in values):
        raise too_much()


def _check_replace(text: str, old: object = "", new: object = "") -> None:
    limit(text.count(str(old)) * whole_size(new))


def _check_percent(form: str, values: Sequence[object]) -> None:
    widths = [value for value in values if isinstance(value, int)] if "*" in form else []
    _check_directives(form.count("%"), [form], widths, values)


def _check_format(form: str, values: Sequence[object]) -> None:
    specs = [spec or "" for _, name, spec, _ in Formatter().parse(form) if name is not None]
    if any("{" in spec for spec in specs):
        raise too_much()
    _check_directives(len(specs), specs, [], values)


def _check_directives(
    count: int, forms: Sequence[str], widths: Sequence[int], values: Sequence[object]
) -> None:
    """Check that as many directives, each as wide as can be, do not print too much."""
    written = (int(digits[:9]) for form in forms for digits in _DIGITS.findall(form))
    widest = max((*written, *widths), default=0)
    largest = max((whole_size(value) for value in values), default=0)
    limit(count * (widest + largest))
