"""The layers that a model starts with: those of its parent, or uploaded GGUF files."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from model_store.blobs import blob_path
from model_store.create.spec import CreateProgress
from model_store.digests import Digest
from model_store.disk import open_regular
from model_store.errors import BlobNotFound, CreateError, ModelNotFound
from model_store.gguf import GGUFHeader
from model_store.layout import Layout
from model_store.manifests import LAYER_PREFIX, Layer
from model_store.model import Model, header_of

_GGUF_KINDS = ("model", "projector", "adapter", "draft")
_MAGICS = (b"GGUF", b"FUGG")


@dataclass(frozen=True, slots=True)
class SourceLayer:
    """A layer and, for one that is a GGUF file, its header."""

    layer: Layer
    header: GGUFHeader | None


def inherited_layers(layout: Layout, parent: Model) -> list[SourceLayer]:
    """Return the layers of `parent` as a model made from it refers to them.

    Raises:
        GGUFError: a model file of the parent is damaged.
        ModelNotFound: a blob of the parent is gone.
    """
    try:
        return [_inherited(layout, layer, parent.name.short) for layer in parent.layers]
    except (BlobNotFound, OSError) as e:
        raise ModelNotFound(parent.name.short) from e


def _inherited(layout: Layout, layer: Layer, parent: str) -> SourceLayer:
    path = blob_path(layout, layer.digest)
    header = header_of(path) if layer.kind in _GGUF_KINDS else None
    return SourceLayer(layer.derived_from(parent), header)


class FileLayers:
    """Uploaded files as layers, in the order of their names."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.layers: list[SourceLayer] = []

    def add(self, files: Mapping[str, str]) -> Iterator[CreateProgress]:
        """Read the header of each file and append its layer to `layers`.

        Raises:
            BlobNotFound: a file was not uploaded.
            CreateError: the files are of a kind that no model can be made from.
            GGUFError: a file is damaged.
        """
        self._check_kind(files)
        for file_name in sorted(files):
            yield CreateProgress("parsing GGUF")
            source = self._layer(file_name, Digest.parse(files[file_name]))
            if source.layer.kind == "model":
                yield CreateProgress("verifying conversion")
            self.layers.append(source)

    def _check_kind(self, files: Mapping[str, str]) -> None:
        if any(name.endswith(".safetensors") for name in files):
            raise CreateError(
                "creating a model from safetensors is not supported yet, convert it to GGUF first"
            )
        if files and not any(name.endswith(".gguf") for name in files):
            magics = [self._magic(Digest.parse(text)) for text in files.values()]
            if not any(magic in _MAGICS for magic in magics):
                raise CreateError("unknown type")

    def _magic(self, digest: Digest) -> bytes:
        try:
            with open_regular(self._layout.blob(digest)) as file:
                return file.read(4)
        except OSError as e:
            raise BlobNotFound(str(digest)) from e

    def _layer(self, file_name: str, digest: Digest) -> SourceLayer:
        if self._magic(digest) not in _MAGICS:
            raise CreateError("supplied file was not in GGUF format")
        path = blob_path(self._layout, digest)
        header = header_of(path)
        _refuse_split(header)
        media_type = LAYER_PREFIX + kind_of(header)
        layer = Layer(media_type, digest, path.stat().st_size)
        return SourceLayer(layer, header)


def _refuse_split(header: GGUFHeader) -> None:
    keys = ("split.count", f"{header.architecture}.split.count")
    if any((header.integer(key) or 0) > 1 for key in keys):
        raise CreateError(
            "creating a model from a split GGUF is not supported yet, merge its files first"
        )


def kind_of(header: GGUFHeader) -> str:
    """Return what a GGUF file is: a model, a projector or an adapter."""
    general, arch = header.text("general.type"), header.architecture
    if general == "adapter":
        return "adapter"
    if general in ("projector", "mmproj"):
        return "projector"
    if header.integer(f"{arch}.block_count"):
        return "model"
    is_encoder = arch == "clip" and (
        header.flag("clip.has_vision_encoder") or header.flag("clip.has_audio_encoder")
    )
    return "projector" if is_encoder or header.integer(f"{arch}.vision.block_count") else "model"
