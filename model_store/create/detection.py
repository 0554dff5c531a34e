"""The Go template that is attached to a model because its own, in Jinja, does the same."""

from collections.abc import Iterable

from model_store.create.sources import Source
from model_store.create.spec import CreateSpec, KnownTemplate
from model_store.gguf import read_chat_template


def detected_template(spec: CreateSpec, sources: Iterable[Source]) -> KnownTemplate | None:
    """Return the template for a model made of files; None when it has none, or an unknown one.

    A model that sees is left its own: the two kinds of templates have images in different places.
    """
    if spec.parent is not None:
        return None  # it has what its parent has
    sources = list(sources)
    if any(map(_sees, sources)):
        return None
    speaking = (
        s.path for s in sources if s.kind == "model" and s.header and s.header.chat_template
    )
    found = (spec.detect_template(read_chat_template(path)) for path in speaking)
    return next(filter(None, found), None)


def _sees(source: Source) -> bool:
    if source.kind == "projector":
        return True
    header = source.header
    return header is not None and header.has(f"{header.architecture}.vision.block_count")
