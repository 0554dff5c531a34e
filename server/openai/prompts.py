"""Texts and tokens, one or several, as prompts and as inputs of embeddings."""

Prompt = str | tuple[int, ...]
"""A text, or the ids of its tokens."""

_LARGEST_ID = 2**31 - 1


def prompts_of(value: object) -> tuple[Prompt, ...] | None:
    """Return what `value` lists; None when it is neither text nor tokens, or an empty list."""
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
    return all(type(value) is int and 0 <= value <= _LARGEST_ID for value in values)
