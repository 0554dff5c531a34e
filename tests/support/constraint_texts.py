"""Texts that satisfy a constraint, drawn at random, and what the engine says of a text."""

import json
import random
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from runners.engine.constraints.fallbacks import compile_with_fallbacks
from runners.engine.constraints.matcher import ConstraintFactory
from runners.protocol.constraints import (
    Choice,
    Concatenation,
    Constraint,
    JSONSchema,
    Literal,
    Regex,
    Repeat,
    SeparatedList,
    Until,
    Voluntary,
    Without,
)


class _Bytes:
    """A vocabulary of all bytes and an end."""

    size = 257

    def piece(self, token: int) -> bytes:
        return bytes([token]) if token < 256 else b""

    full_piece = piece

    def ends_generation(self, token: int) -> bool:
        return token == 256


_FACTORY = ConstraintFactory(_Bytes())
_MORE = 3
"""How many repetitions beyond the least are drawn where nothing bounds them."""
_WORDS = (
    "sun",
    "Zürich",
    "a <b> & c",
    "it's",
    "{x: 1}",
    "two\nlines",
    'say "hi"',
    "1.5",
    "",
    "[0]",
)


def refused(constraint: Constraint, text: str) -> str | None:
    """Return where the engine does not let a model go on with `text`, None where it does.

    The end of the text is told as "" when the model could not end there.
    """
    matcher = _FACTORY.compile(constraint)
    data = text.encode()
    for at, byte in enumerate(data):
        if not matcher.allows(byte):
            return data[at:].decode(errors="replace")
        matcher.accept(byte)
    return None if matcher.finished or matcher.allows(256) else ""


def decoded(constraint: Constraint, prefer: Callable[[str], str], *, n_predict: int = 500) -> str:
    """Return what a model writes whose next characters are `prefer(text so far)`, the best first.

    As in the engine, the first one is sampled without a mask; what is no character ends the text.
    """
    matcher = compile_with_fallbacks(_FACTORY, constraint)
    written = b""
    for _ in range(n_predict):
        logits = np.zeros(257, np.float32)
        for rank, character in enumerate(reversed(prefer(written.decode(errors="replace")))):
            logits[character.encode()[0]] = 1 + rank
        token = int(logits.argmax()) if logits.any() else 256
        if not matcher.allows(token):
            matcher.mask(logits)
            token = int(logits.argmax())
        matcher.accept(token)
        if token == 256:
            break
        written += bytes([token])
        if matcher.finished:
            break
    return written.decode()


def text_of(  # noqa: C901, PLR0911 - one case a kind
    constraint: Constraint, random: random.Random
) -> str:
    """Return a text that satisfies `constraint`."""
    match constraint:
        case Literal(text):
            return text
        case Until(end):
            return _words(random, end) + end
        case Without(mark):
            return _words(random, mark) if mark else _words(random, "\0")
        case Concatenation(parts):
            return "".join(text_of(part, random) for part in parts)
        case Choice(options):
            return text_of(random.choice(options), random)
        case Repeat(part, least, most):
            upper = least + _MORE if most is None else min(most, least + _MORE)
            return "".join(text_of(part, random) for _ in range(random.randint(least, upper)))
        case SeparatedList(parts, needed, separator):
            kept = [
                p
                for p, wanted in zip(parts, needed, strict=True)
                if wanted or random.random() < 0.5
            ]
            return separator.join(text_of(part, random) for part in kept)
        case Voluntary(part):
            return text_of(part, random)
        case JSONSchema(schema):
            value = value_of(json.loads(schema), random)
            return json.dumps(value, ensure_ascii=False)  # the engine allows no needless escapes
        case Regex(pattern):
            texts = ("", ":0", "1", "k3x9w0q7zt", *_shuffled(random))
            return next(text for text in texts if re.fullmatch(pattern, text))
    raise NotImplementedError(type(constraint))


def value_of(  # noqa: C901, PLR0911 - one case a keyword
    schema: Mapping[str, Any], random: random.Random, definitions: Mapping[str, Any] | None = None
) -> object:
    """Return a value of the parts of JSON Schema that the tests' tools use."""
    definitions = schema.get("$defs", definitions)

    def inner(schema: Mapping[str, Any]) -> object:
        return value_of(schema, random, definitions)

    match schema:
        case {"const": value}:
            return value
        case {"enum": values}:
            return random.choice(values)
        case {"anyOf": options}:
            return inner(random.choice(options))
        case {"$ref": name}:
            return inner(definitions[name.removeprefix("#/$defs/")])
        case {"type": "string"}:
            return random.choice(_WORDS)
        case {"type": "integer"}:
            return random.randint(-9, 10**6)
        case {"type": "number"}:
            return random.choice((0.5, -2.25, 7, 1e-9))
        case {"type": "boolean"}:
            return random.random() < 0.5
        case {"type": "array"}:
            items = schema.get("items", {"type": "integer"})
            return [inner(items) for _ in range(random.randint(0, 3))]
        case {"type": "object"}:
            found, required = schema.get("properties", {}), schema.get("required", ())
            chosen = [name for name in found if name in required or random.random() < 0.5]
            return {name: inner(found[name]) for name in chosen}
    return None


def _words(random: random.Random, mark: str) -> str:
    """Return words in which `mark` neither stands nor begins at the end."""
    text = " ".join(random.choices(_WORDS, k=random.randint(0, 4)))
    return "" if mark in text + mark[:-1] else text


def _shuffled(random: random.Random) -> list[str]:
    chars = [chr(code) for code in range(32, 127)]
    random.shuffle(chars)
    return chars
