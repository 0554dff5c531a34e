"""Installed models to list and to describe."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from model_store.create import CreateSpec
from model_store.digests import Digest
from model_store.model import Model
from model_store.names import ModelName
from model_store.store import Store
from tests.support import gguf_bytes


@dataclass(frozen=True)
class Installed:
    """A store below `root`, and short ways to fill it and to harm it."""

    store: Store
    root: Path

    def upload(self, data: bytes) -> str:
        """Store a blob; return its digest."""
        digest = Digest.of(data)
        with self.store.blob_writer(digest) as writer:
            writer.write(data)
            writer.commit()
        return str(digest)

    def create(self, name: str, *files: bytes, **fields: object) -> Model:
        """Make a model from GGUF files, by default a small one."""
        contents = files or (gguf_bytes.model(),)
        spec = CreateSpec(
            name=ModelName.parse(name),
            files={f"{n}.gguf": self.upload(data) for n, data in enumerate(contents)},
            check_template=lambda _: None,
            **fields,  # type: ignore[arg-type]
        )
        for _ in self.store.create(spec):
            pass
        return self.model(name)

    def model(self, name: str) -> Model:
        return self.store.resolve(ModelName.parse(name))

    def damage(self, model: Model) -> None:
        """Change the weights of `model`, as a server that starts afterwards finds them."""
        weights = self.weights(model)
        weights.chmod(0o600)
        weights.write_bytes(b"no model file")

    def weights(self, model: Model) -> Path:
        """Return the file of `model`."""
        assert model.weights is not None
        return model.weights


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    store = Store(tmp_path / "models")
    store.prepare()
    return Installed(store, tmp_path / "models")
