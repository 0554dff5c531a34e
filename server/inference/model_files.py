"""The files of a model as runners read them; those of legacy layouts as virtual files."""

from dataclasses import dataclass, replace
from pathlib import Path

from model_store.byte_cache import ByteCache
from model_store.disk import FileVersion
from model_store.errors import GGUFError
from model_store.gguf import legacy
from model_store.layout import derived_projector
from model_store.model import header_of
from runners.host.model_request import ModelFacts
from runners.protocol.virtual_file import Piece, Rearranged, Span, VirtualFile
from server.inference.model_facts import model_facts

_Versions = tuple[FileVersion, FileVersion | None, FileVersion | None]
_MAX_BYTES, _FACTS_BYTES, _PIECE_BYTES = 64 << 20, 4096, 150


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """What a runner loads; see `ModelRequest` for the fields."""

    weights: Path
    facts: ModelFacts
    view: VirtualFile | None = None
    projector: Path | None = None
    projector_view: VirtualFile | None = None
    draft: Path | None = None
    draft_view: VirtualFile | None = None
    draft_facts: ModelFacts | None = None

    @property
    def n_bytes(self) -> int:
        """About how much memory this takes."""
        views = (self.view, self.projector_view, self.draft_view)
        pieces = [piece for view in views if view is not None for piece in view.pieces]
        return _FACTS_BYTES + sum(
            len(piece) if isinstance(piece, bytes) else _PIECE_BYTES for piece in pieces
        )


def model_files(
    weights: Path, projector: Path | None = None, draft: Path | None = None
) -> ModelFiles:
    """Return what a runner loads for a model of these files; what was used last is kept.

    Raises:
        GGUFError: the weights are damaged.
        OSError: a file cannot be read.
    """
    others = [FileVersion.of(path) if path is not None else None for path in (projector, draft)]
    return _model_files((FileVersion.of(weights), others[0], others[1]))


def _read(versions: _Versions) -> ModelFiles:
    """Read the files of a model, its projector and its draft model."""
    weights = versions[0].path
    given = versions[1].path if versions[1] is not None else None
    header = header_of(weights)
    translation = legacy.translate(weights, header)
    text = translation.text if translation is not None else None
    facts = model_facts(text.header if text is not None else header)
    source, encoder = weights, translation.projector if translation is not None else None
    if given is not None:
        source, encoder = given, _encoder(given)
    if encoder is not None:
        path, facts = derived_projector(source), replace(facts, projector_bytes=encoder.size)
    elif given is not None:
        path, facts = given, replace(facts, projector_bytes=given.stat().st_size)
    else:
        path = None
    files = ModelFiles(
        weights=weights,
        facts=facts,
        view=_virtual(weights, text),
        projector=path,
        projector_view=_virtual(source, encoder),
    )
    if versions[2] is None:
        return files
    own = model_files(versions[2].path)
    return replace(files, draft=own.weights, draft_view=own.view, draft_facts=own.facts)


_model_files: ByteCache[_Versions, ModelFiles] = ByteCache(
    _read, lambda files: files.n_bytes, _MAX_BYTES
)


def _encoder(projector: Path) -> legacy.VirtualFile | None:
    """Return what llama.cpp reads in place of a projector file, None: the file itself."""
    try:
        translation = legacy.translate(projector, header_of(projector))
    except GGUFError:
        return None  # loading the model reports a damaged file
    return translation.projector if translation is not None else None


def _virtual(path: Path, file: legacy.VirtualFile | None) -> VirtualFile | None:
    if file is None:
        return None
    return VirtualFile(str(path), tuple(map(_piece, file.pieces)), file.size)


def _piece(piece: legacy.Piece) -> Piece:
    if isinstance(piece, bytes):
        return piece
    if isinstance(piece, legacy.Span):
        return Span(piece.offset, piece.size)
    return Rearranged(
        offset=piece.offset,
        source_size=piece.source_size,
        size=piece.size,
        shape=piece.shape,
        type=piece.type,
        pick=piece.pick,
        order=piece.order,
        grid=piece.grid,
    )
