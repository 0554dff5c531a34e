"""Layout of images and audio among the tokens of a prompt; pure.

A medium occupies a span of placeholder tokens whose ids derive from its digest: negative, so that
no text has them, and equal wherever the same medium is used. Prefix comparison therefore needs no
case for media.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from runners.protocol.media import DecodedImage, Medium
from runners.protocol.tokens import AnyText, Segment

TokenIds = npt.NDArray[np.int32]


class InvalidMedia(Exception):
    """An image or audio cannot be used; the message is a sentence for the client."""


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """A medium, or a part of one: tokens [start, end) of a prompt.

    `positions` has the shape (sections, end - start); the KV cache orders cells by the first
    section. The next token has the position `following`. `key` identifies the content, and `chunk`
    is mtmd's handle of it. A `whole` span is computed in one batch, because its tokens attend to
    each other (non-causal attention).
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
        """Number of tokens, which is that of rows of embeddings."""
        return self.end - self.start


class Layout:
    """The media of one prompt, in order; `owner` keeps the native chunks alive."""

    def __init__(self, spans: Sequence[Span], owner: object) -> None:
        self.spans = tuple(spans)
        self._owner = owner

    def position(self, index: int) -> int:
        """Return the position of a token; of the token after the last one, for the length."""
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
        """Return the largest length up to `length` that splits no medium."""
        span = self.next(length)
        return length if span is None else min(length, span.start)


def split(prompt: AnyText, media: Sequence[Medium]) -> list[Segment | Medium]:
    """Return the segments of the prompt with medium N in place of the first `[img-N]`.

    Raises:
        InvalidMedia: the prompt has no tag for one of them.
    """
    segments = [Segment(prompt, special=True)] if isinstance(prompt, str) else prompt.segments
    parts: list[Segment | Medium] = list(segments)
    for number, medium in enumerate(media):
        tag = f"[img-{number}]"
        place = next(
            (i for i, part in enumerate(parts) if isinstance(part, Segment) and tag in part.text),
            None,
        )
        if place is None:
            raise InvalidMedia(f"the prompt has no tag {tag} for it: add {tag} where it belongs")
        segment = parts[place]
        assert isinstance(segment, Segment)
        before, _, after = segment.text.partition(tag)
        texts = [Segment(before, segment.special), Segment(after, segment.special)]
        parts[place : place + 1] = [texts[0], medium, texts[1]]
    return [part for part in parts if not isinstance(part, Segment) or part.text]


def digest_of(medium: Medium) -> bytes:
    """Return the SHA-256 of the decoded content and its shape."""
    if isinstance(medium, DecodedImage):
        shape, data = f"{medium.width}x{medium.height}", medium.rgb
    else:
        shape, data = "audio", medium.samples
    digest = hashlib.sha256(f"{shape}:".encode())
    digest.update(data)
    return digest.digest()


def ids_of(key: bytes, n_tokens: int) -> TokenIds:
    """Return the placeholder ids of the tokens of the span with this key."""
    ids = np.frombuffer(hashlib.shake_128(key).digest(4 * n_tokens), "<u4")
    return (ids | np.uint32(1 << 31)).view(np.int32)
