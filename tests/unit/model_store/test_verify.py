"""Rot on the disk is found and told by the models that it hurts."""

from pathlib import Path

import pytest

from model_store.errors import ModelNotFound
from model_store.layout import Layout
from model_store.names import ModelName
from model_store.store import Store
from model_store.verify import Damage
from tests.support import gguf_bytes
from tests.unit.model_store.conftest import Create, Upload

ONE, TWO = ModelName.parse("one"), ModelName.parse("two")


@pytest.fixture
def weights(store: Store, upload: Upload, create: Create) -> Path:
    """The file that both models share."""
    digest = upload(gguf_bytes.model("llama"))
    create("one", files={"m.gguf": digest})
    create("two", files={"m.gguf": digest}, system="Be brief.")
    path = store.resolve(ONE).weights
    assert path is not None
    return path


def hurt(store: Store, *names: ModelName) -> dict[str, list[Damage]]:
    found = store.verify(names, lambda n: None)
    return {model.name.short: list(model.blobs.values()) for model in found}


def test_a_store_that_is_whole_is_told_to_be(store: Store, weights: Path) -> None:
    told: list[int] = []
    assert store.verify((), told.append) == []
    assert sum(told) == sum(path.stat().st_size for path in weights.parent.iterdir())


def test_a_flipped_bit_hurts_every_model_that_has_the_blob(store: Store, weights: Path) -> None:
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)

    assert hurt(store) == {"one:latest": [Damage.WRONG], "two:latest": [Damage.WRONG]}
    assert hurt(store, TWO) == {"two:latest": [Damage.WRONG]}


def test_a_blob_that_is_gone_is_told(store: Store, weights: Path) -> None:
    weights.unlink()

    assert hurt(store, ONE) == {"one:latest": [Damage.MISSING]}


def test_a_damaged_manifest_is_told(store: Store, weights: Path, layout: Layout) -> None:
    layout.manifest(ONE).write_text("{")

    assert hurt(store) == {"one:latest": []}


def test_an_absent_model_is_told(store: Store, weights: Path) -> None:
    with pytest.raises(ModelNotFound):
        store.verify([ModelName.parse("absent")], lambda n: None)
