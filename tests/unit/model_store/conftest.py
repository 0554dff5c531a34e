"""A store in an empty directory, and short ways to fill it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from model_store.create import CreateSpec
from model_store.digests import Digest
from model_store.layout import Layout
from model_store.names import ModelName
from model_store.store import Store
from tests.support import gguf_bytes

Upload = Callable[[bytes], str]
Create = Callable[..., list[str]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def layout(root: Path) -> Layout:
    layout = Layout(root)
    layout.create()
    return layout


@pytest.fixture
def store(root: Path) -> Store:
    store = Store(root)
    store.prepare()
    return store


@pytest.fixture
def upload(store: Store) -> Upload:
    """Store bytes as a client does; return their digest."""

    def put(data: bytes) -> str:
        digest = Digest.of(data)
        with store.blob_writer(digest) as writer:
            writer.write(data)
            writer.commit()
        return str(digest)

    return put


@pytest.fixture
def create(store: Store) -> Create:
    """Make the model `name` from keywords of CreateSpec; return the steps that were told."""

    def make(name: str, **fields: object) -> list[str]:
        parent = fields.pop("parent", None)
        spec = CreateSpec(
            name=ModelName.parse(name),
            parent=ModelName.parse(str(parent)) if parent else None,
            check_template=lambda _: None,
            **fields,  # type: ignore[arg-type]
        )
        return [step.status for step in store.create(spec)]

    return make


@pytest.fixture
def base(upload: Upload, create: Create) -> str:
    """The digest of a model file, installed as `base`."""
    digest = upload(gguf_bytes.model())
    create("base", files={"base.gguf": digest})
    return digest


def blobs(root: Path) -> set[str]:
    """Return the names of all files in the directory of the blobs."""
    return {path.name for path in (root / "blobs").iterdir()}
