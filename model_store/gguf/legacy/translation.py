"""Translate a file of a legacy layout to what llama.cpp reads: a text model and a projector."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from model_store.gguf.header import GGUFHeader
from model_store.gguf.legacy.draft import Draft, VirtualFile
from model_store.gguf.legacy.families import family_of
from model_store.gguf.legacy.source import SourceFile
from model_store.gguf.legacy.steps import Family, Step

_ALL = re.compile("")
_TEXT_TENSORS = re.compile(r"(?!(v|mm|a|s|mtp)\.)")
_PROJECTOR_TENSORS = re.compile(r"(v|mm|a|s)\.")
_PIECE_BYTES = 150
"""About what a piece takes in memory besides its bytes."""


@dataclass(frozen=True, slots=True)
class Translation:
    """What llama.cpp reads in place of a file; None for a part that the file does not have."""

    text: VirtualFile | None
    projector: VirtualFile | None

    @property
    def n_bytes(self) -> int:
        """About how much memory it takes."""
        return sum(map(_n_bytes, filter(None, (self.text, self.projector))))


def translate(path: Path, header: GGUFHeader) -> Translation | None:
    """Return the translation of the file at `path`, None when llama.cpp can read it as it is.

    Raises:
        GGUFError: a tensor or key that the layout needs is missing or does not fit.
        OSError: the file cannot be read.
    """
    family = family_of(header)
    if family is None:
        return None
    source = SourceFile(path)
    if not source.is_readable or not family.is_confirmed(source):
        return None
    return _translated(source, family)


def _translated(source: SourceFile, family: Family) -> Translation:
    if family.is_projector:
        draft = Draft(source, metadata=True, tensors=_ALL)
        return Translation(None, _finished(draft, family.projector))
    text = Draft(source, metadata=True, tensors=_TEXT_TENSORS)
    encoder = Draft(source, metadata=False, tensors=_PROJECTOR_TENSORS)
    has_encoder = bool(family.projector and encoder.tensors)
    return Translation(
        _finished(text, family.text),
        _finished(encoder, family.projector) if has_encoder else None,
    )


def _finished(draft: Draft, steps: Iterable[Step]) -> VirtualFile:
    for step in steps:
        step(draft)
    return draft.finish()


def _n_bytes(view: VirtualFile) -> int:
    data = sum(len(piece) for piece in view.pieces if isinstance(piece, bytes))
    return view.header.n_bytes + data + _PIECE_BYTES * len(view.pieces)
