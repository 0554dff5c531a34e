"""Installed models as the server sees them, with and without a store around them."""

from pathlib import Path

from model_store.config import ModelConfig
from model_store.create import CreateSpec
from model_store.digests import Digest
from model_store.model import Model
from model_store.names import ModelName
from model_store.store import Store
from tests.support import gguf_bytes


def installed(
    directory: Path,
    *keys: bytes,
    architecture: str = "llama",
    template: str | None = None,
    chat_template: str = "",
    projectors: tuple[Path, ...] = (),
    config: ModelConfig | None = None,
) -> Model:
    """Return a model whose file in `directory` has `keys` and, in Jinja, `chat_template`."""
    if chat_template:
        text = gguf_bytes.key("tokenizer.chat_template", gguf_bytes.STRING, chat_template)
        keys = (*keys, text)
    weights = directory / "model.gguf"
    weights.write_bytes(gguf_bytes.model(architecture, *keys))
    return Model(
        name=ModelName.parse("test"),
        digest="0" * 64,
        size=weights.stat().st_size,
        modified_at=0.0,
        config=config or ModelConfig(),
        layers=(),
        weights=weights,
        adapters=(),
        projectors=projectors,
        drafts=(),
        template=template,
        system="",
        parameters={},
        messages=(),
        license_files=(),
        parent_model="",
    )


def store_with(root: Path, name: str, data: bytes) -> Store:
    """Return a store at `root` in which the GGUF file `data` is installed as `name`."""
    store = Store(root)
    store.prepare()
    digest = Digest.of(data)
    with store.blob_writer(digest) as writer:
        writer.write(data)
        writer.commit()
    files = {"m.gguf": str(digest)}
    spec = CreateSpec(name=ModelName.parse(name), files=files, check_template=lambda _: None)
    list(store.create(spec))
    return store
