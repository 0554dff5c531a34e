"""Install the bundled models into an empty store, once.

A file beside the blobs records that it was done, so that deleted models stay away, and a later
version brings nothing back. Other servers that share the directory do not look there.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from model_store.blobs import put_blob
from model_store.catalog import Catalog
from model_store.create import CreateSpec, Tools, create_model
from model_store.disk import disk_errors
from model_store.errors import ModelNotFound, StorageFailed
from model_store.layout import Layout
from model_store.names import ModelName

GUIDE = ModelName.parse("paddock")
"""The model that answers questions about paddock."""

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Bundled:
    """A bundled model: its GGUF file, template and parameters."""

    name: ModelName
    file: str
    template: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)


# More threads would wait for each other longer than they compute.
_ONE_THREAD: Mapping[str, object] = {"num_thread": 1}
BUNDLED = (
    Bundled(ModelName.parse("paddock-embed"), "paddock-embed.gguf", parameters=_ONE_THREAD),
    Bundled(
        GUIDE,
        "paddock.gguf",
        template="paddock.tmpl",
        parameters={
            "num_ctx": 2048,
            "num_predict": 512,
            "stop": ["<|im_start|>", "<|im_end|>"],
            "temperature": 0,
            **_ONE_THREAD,
        },
    ),
)


def install_bundled(layout: Layout, catalog: Catalog) -> bool:
    """Install the bundled models if the store is empty and never had them; tell whether it did.

    Raises:
        StorageFailed: the directory cannot be written; then none is installed, and the next start
            tries again.
    """
    with disk_errors():
        if layout.bundled_mark.exists() or not catalog.is_empty():
            return False
        blobs = [put_blob(layout, (_HERE / model.file).read_bytes()) for model in BUNDLED]
        layout.bundled_mark.write_text("".join(f"{model.name.short}\n" for model in BUNDLED))
        try:
            for model, blob in zip(BUNDLED, blobs, strict=True):
                _create(layout, catalog, model, str(blob.digest))
        except (OSError, StorageFailed):
            _undo(layout, catalog)
            raise
    return True


def _undo(layout: Layout, catalog: Catalog) -> None:
    with contextlib.suppress(OSError):
        layout.bundled_mark.unlink()
    for model in BUNDLED:
        with contextlib.suppress(ModelNotFound, StorageFailed):
            catalog.delete(model.name)


def _create(layout: Layout, catalog: Catalog, model: Bundled, digest: str) -> None:
    spec = CreateSpec(
        name=model.name,
        files={model.file: digest},
        template=(_HERE / model.template).read_text() if model.template else "",
        parameters=model.parameters,
        licenses=("MIT",),
        check_template=lambda _: None,
    )
    for _ in create_model(layout, catalog, spec, Tools(), prune=False):
        pass
