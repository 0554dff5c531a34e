"""Where the media of a prompt, pictures and sounds, stand among its tokens; pure.

A medium takes a stretch of tokens whose ids are made of its digest: negative, so no text has
them, and the same wherever the same medium is used. All that compares prompts therefore knows
media without knowing of them.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from runners.protocol.media import DecodedImage, Medium

TokenIds = npt.NDArray[np.int32]


class InvalidMedia(Exception):
    """A picture or a sound cannot be used; the text says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """A medium, or a part of one: tokens [start, end) of a prompt.

    `positions` has the shape (sections, end - start); the first section is what the memory orders
    cells by. The next token has the position `following`. `key` names what the stretch shows, and
    `chunk` is the library's handle of it. A `whole` one is computed in one batch, because each of
    its tokens attends to all of them.
    """

    start: int
    end: int
    positions: TokenIds
    following: int
    key: bytes
    chunk: int
    whole: bool

    @property
    def n_tokens(self) -> int:
        """Tokens, and rows of embeddings, of the stretch."""
        return self.end - self.start


class Layout:
    """The media of one prompt, in order; `owner` keeps alive what their handles point to."""

    def __init__(self, spans: Sequence[Span], owner: object) -> None:
        self.spans = tuple(spans)
        self._owner = owner

    def position(self, index: int) -> int:
        """Return the position of a token; that behind the last one, for the length."""
        offset = 0
        for span in self.spans:
            if index <= span.start:
                break
            if index < span.end:
                return int(span.positions[0, index - span.start])
            offset = span.following - span.end
        return index + offset

    def next(self, index: int) -> Span | None:
        """Return the first medium that does not end before token `index`."""
        return next((span for span in self.spans if span.end > index), None)

    def floor(self, length: int) -> int:
        """Return the largest length up to `length` that cuts no medium in two."""
        span = self.next(length)
        return length if span is None else min(length, span.start)


def split(prompt: str, media: Sequence[Medium]) -> list[str | Medium]:
    """Return the prompt with medium N in place of the first `[img-N]`.

    Raises:
        InvalidMedia: one of them has no place in the prompt.
    """
    places = []
    for number, medium in enumerate(media):
        tag = f"[img-{number}]"
        at = prompt.find(tag)
        if at < 0:
            raise InvalidMedia(f"the prompt does not say where it belongs: write {tag} there")
        places.append((at, at + len(tag), medium))
    parts: list[str | Medium] = []
    end = 0
    for at, behind, medium in sorted(places, key=lambda place: place[0]):
        parts += [prompt[end:at], medium]
        end = behind
    return [part for part in (*parts, prompt[end:]) if part]


def digest_of(medium: Medium) -> bytes:
    """Return what two media share only when they show or sound the same."""
    if isinstance(medium, DecodedImage):
        shape, data = f"{medium.width}x{medium.height}", medium.rgb
    else:
        shape, data = "sound", medium.samples
    digest = hashlib.sha256(f"{shape}:".encode())
    digest.update(data)
    return digest.digest()


def ids_of(key: bytes, n_tokens: int) -> TokenIds:
    """Return the ids that stand for the tokens of the stretch with this key."""
    drawn = np.frombuffer(hashlib.shake_128(key).digest(4 * n_tokens), "<u4")
    return (drawn | np.uint32(1 << 31)).view(np.int32)
