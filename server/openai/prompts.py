"""Parse prompts and embedding inputs: a text, token ids, or a list of either."""

from server.schemas.base import LongText

Prompt = LongText | tuple[int, ...]
"""A text or token ids."""

_MAX_TOKEN_ID = 2**31 - 1


def prompts_of(value: object) -> tuple[Prompt, ...] | None:
    """Return the prompts in `value`; None when it has none or is of another type."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list | tuple) or not value:
        return None
    if _are_tokens(value):
        return (tuple(value),)
    prompts = [_prompt(item) for item in value]
    return (
        tuple(prompt for prompt in prompts if prompt is not None) if None not in prompts else None
    )


def _prompt(value: object) -> Prompt | None:
    if isinstance(value, str):
        return value
    return tuple(value) if isinstance(value, list) and value and _are_tokens(value) else None


def _are_tokens(values: list[object] | tuple[object, ...]) -> bool:
    return all(type(value) is int and 0 <= value <= _MAX_TOKEN_ID for value in values)
