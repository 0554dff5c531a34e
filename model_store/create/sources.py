"""Source layers of a new model: inherited from its parent, or uploaded files."""

from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from model_store.blobs import blob_path
from model_store.convert.process import Job, convert
from model_store.create.kinds import check_kind, is_gguf, kind_of
from model_store.create.scratch import Scratch
from model_store.create.spec import CreateProgress
from model_store.create.tools import Tools, ended
from model_store.digests import Digest
from model_store.errors import BlobNotFound, CreateError, ModelNotFound
from model_store.gguf import GGUFHeader, merge_shards, read_header
from model_store.gguf.split import group_shards
from model_store.gguf.validate import check_adapter, check_model, check_projector
from model_store.layout import Layout
from model_store.manifests import LAYER_PREFIX, Layer
from model_store.model import Model, header_of

_GGUF_KINDS = ("model", "projector", "adapter", "draft")
_CHECKS = {
    "model": check_model,
    "draft": check_model,
    "adapter": check_adapter,
    "projector": check_projector,
}

Steps = Generator[CreateProgress, None, None]


@dataclass(frozen=True, slots=True)
class Source:
    """A file that becomes a layer, or a layer that is there.

    `header` is there for GGUF files, `layer` for files that are blobs already.
    """

    kind: str
    path: Path
    header: GGUFHeader | None
    layer: Layer | None

    @classmethod
    def new(cls, path: Path, *, kind: str) -> "Source":
        """Return a file that was just written; raises GGUFError when it is damaged."""
        return cls(kind, path, read_header(path), None)


def inherited_layers(layout: Layout, parent: Model) -> list[Source]:
    """Return the layers of `parent` as a model made from it refers to them.

    Raises:
        GGUFError: a model file of the parent is damaged.
        ModelNotFound: a blob of the parent is gone.
    """
    try:
        return [_inherited(layout, layer, parent.name.short) for layer in parent.layers]
    except (BlobNotFound, FileNotFoundError) as e:
        raise ModelNotFound(parent.name.short) from e


def _inherited(layout: Layout, layer: Layer, parent: str) -> Source:
    path = blob_path(layout, layer.digest)
    header = header_of(path) if layer.kind in _GGUF_KINDS else None
    return Source(layer.kind, path, header, layer.derived_from(parent))


class FileSources:
    """Uploaded files as sources, in the order of their names.

    `parameters` are those that the makers of a converted model recommend.
    """

    def __init__(self, layout: Layout, scratch: Scratch, tools: Tools) -> None:
        self._layout, self._scratch, self._tools = layout, scratch, tools
        self.sources: list[Source] = []
        self.parameters: dict[str, object] = {}

    def add_files(self, files: Mapping[str, str]) -> Steps:
        """Append the files of a model.

        Raises:
            BlobNotFound: a file was not uploaded.
            ConversionDied, NoSpace, StorageFailed: the server cannot convert or merge them.
            CreateError: the files are of a kind that no model can be made from.
            GGUFError: a file is damaged.
        """
        paths = self._located(files)
        if check_kind(paths) == "safetensors":
            yield from self._convert(paths, "converting model")
        else:
            yield from self._add_gguf(paths, files)

    def imatrix(self, files: Mapping[str, str]) -> Path | None:
        """Return the importance matrix among uploaded files; raises BlobNotFound."""
        return next(iter(self._located(files).values()), None)

    def add_adapter(self, files: Mapping[str, str], base: Path | None) -> Steps:
        """Append an adapter for the model at `base`, or a model in its place; raises as above."""
        paths = self._located(files)
        if paths and check_kind(paths) == "safetensors":
            if base is None:
                raise CreateError("no base model was found")
            yield from self._convert(paths, "converting adapter", base=base)
        else:
            yield from self._add_gguf(paths, files)

    def add_draft(self, files: Mapping[str, str]) -> Steps:
        """Append a draft model; raises as above."""
        yield from self._add_gguf(self._located(files), files, kind="draft")

    def check(self, inherited: Iterable[Source]) -> Steps:
        """Find out whether the files can be loaded, together with those of the parent.

        Raises:
            CreateError: there are no weights among them.
            GGUFError: a file has what would end a runner.
        """
        for source in self.sources:
            if source.header is not None:
                _CHECKS[source.kind](source.header)
        paths = _paths_by_kind((*inherited, *self.sources))
        if not paths["model"]:
            raise CreateError("the files contain no model weights")
        yield CreateProgress("verifying conversion")
        if self._tools.engine is None:
            return
        work = self._tools.engine.try_loading(
            paths["model"][-1],
            tuple(paths["adapter"]),
            next(reversed(paths["projector"]), None),
            next(reversed(paths["draft"]), None),
        )
        with ended(work):
            for _ in work:
                yield CreateProgress("verifying conversion")

    def _located(self, files: Mapping[str, str]) -> dict[str, Path]:
        return {name: blob_path(self._layout, Digest.parse(files[name])) for name in sorted(files)}

    def _convert(self, paths: Mapping[str, Path], status: str, base: Path | None = None) -> Steps:
        projector = self._scratch.new() if base is None else None
        job = Job(paths, self._scratch.new(), base, projector)
        work = convert(job, self._tools.environment)
        try:
            while True:
                step = next(work)
                yield CreateProgress(step.note or status, total=step.total, completed=step.done)
        except StopIteration as end:
            self.parameters |= end.value
        finally:
            work.close()
        kind = kind_of(read_header(job.target)) if base else "model"
        if kind == "model":  # with a base: one into which the adapter was merged
            self.sources = [source for source in self.sources if source.kind != "model"]
        self.sources.append(Source.new(job.target, kind=kind))
        if projector is not None and projector.stat().st_size:
            self.sources.append(Source.new(projector, kind="projector"))

    def _add_gguf(
        self, paths: Mapping[str, Path], files: Mapping[str, str], kind: str = ""
    ) -> Steps:
        """Append files of `kind`, or of the kind that each shows."""
        headers: dict[str, GGUFHeader] = {}
        for name, path in paths.items():
            yield CreateProgress("parsing GGUF")
            if not is_gguf(path):
                raise CreateError("supplied file was not in GGUF format")
            headers[name] = header_of(path)
        for names in group_shards(headers):
            if len(names) > 1:
                yield from self._merge([paths[name] for name in names], kind or "model")
                continue
            (name,) = names
            digest, path, header = Digest.parse(files[name]), paths[name], headers[name]
            own = kind or kind_of(header)
            layer = Layer(LAYER_PREFIX + own, digest, path.stat().st_size)
            self.sources.append(Source(own, path, header, layer))

    def _merge(self, shards: list[Path], kind: str) -> Steps:
        target = self._scratch.new(size=sum(shard.stat().st_size for shard in shards))
        for done, total in merge_shards(shards, target):
            yield CreateProgress("gathering split GGUF", total=total, completed=done)
        self.sources.append(Source.new(target, kind=kind))


def _paths_by_kind(sources: Iterable[Source]) -> Mapping[str, list[Path]]:
    paths: defaultdict[str, list[Path]] = defaultdict(list)
    for source in sources:
        paths[source.kind].append(source.path)
    return paths
