"""The models that come along: in a new store once, and never again after they were deleted."""

from pathlib import Path

import pytest

from model_store.errors import StorageFailed
from model_store.names import ModelName
from model_store.store import Store
from tests.unit.model_store.conftest import Create, blobs

BUNDLED = ["paddock-embed:latest", "paddock:latest"]


def names(root: Path) -> list[str]:
    return sorted(model.name.short for model in Store(root).models())


def start(root: Path) -> bool:
    """Do what a start of the server does; return whether models were added."""
    store = Store(root)
    store.prepare()
    return store.add_bundled()


def delete(root: Path, *models: str) -> None:
    for model in models:
        Store(root).delete(ModelName.parse(model))


def test_the_first_start_with_an_empty_store_installs_them(root: Path) -> None:
    assert start(root)

    assert names(root) == BUNDLED


def test_the_guide_has_a_template_and_options_and_knows_where_it_is_from(root: Path) -> None:
    start(root)

    guide = Store(root).resolve(ModelName.parse("paddock"))

    assert guide.template
    assert guide.parameters["temperature"] == 0
    assert guide.licenses() == ("MIT",)
    assert guide.config.model_family == "llama"
    assert guide.config.file_type == "Q8_0"
    assert guide.header().text("general.license") == "MIT"


def test_a_store_with_models_is_left_alone(root: Path, create: Create, base: str) -> None:
    assert not start(root)

    assert names(root) == ["base:latest"]


def test_a_damaged_model_is_a_model_too(root: Path, store: Store) -> None:
    manifest = root / "manifests/registry.ollama.ai/library/broken/latest"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{")

    assert not start(root)


@pytest.mark.parametrize("deleted", [BUNDLED, BUNDLED[:1], BUNDLED[1:]])
def test_what_was_deleted_stays_away_after_restarts(root: Path, deleted: list[str]) -> None:
    start(root)
    delete(root, *deleted)

    assert [start(root), start(root)] == [False, False]
    assert names(root) == [name for name in BUNDLED if name not in deleted]


def test_deleting_them_frees_their_space(root: Path) -> None:
    start(root)
    delete(root, *BUNDLED)

    assert blobs(root) == set()


def test_a_model_that_took_the_name_is_not_overwritten(root: Path) -> None:
    start(root)
    delete(root, "paddock")
    Store(root).copy(ModelName.parse("paddock-embed"), ModelName.parse("paddock"))

    start(root)

    assert not Store(root).resolve(ModelName.parse("paddock")).template


def test_what_remembers_it_lies_where_other_servers_do_not_look(root: Path) -> None:
    start(root)

    assert {path.name for path in root.iterdir()} == {"blobs", "manifests", ".paddock-bundled"}
    assert all(len(path.name) == len("sha256-") + 64 for path in (root / "blobs").iterdir())


def test_a_directory_that_cannot_be_written_is_told_and_leaves_nothing_half_done(
    root: Path, store: Store
) -> None:
    blocked = root / ".paddock-bundled"
    blocked.symlink_to(root / "nowhere" / "file")

    with pytest.raises(StorageFailed):
        store.add_bundled()

    assert names(root) == []
    blocked.unlink()
    assert start(root)


@pytest.mark.parametrize("place", ["registry.ollama.ai", "registry.ollama.ai/library/paddock"])
def test_a_manifest_that_cannot_be_written_is_tried_again_at_the_next_start(
    root: Path, store: Store, place: str
) -> None:
    """The first model, or the second after the first one was installed."""
    blocked = root / "manifests" / place
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_text("a file where a directory belongs")

    with pytest.raises(StorageFailed):
        store.add_bundled()

    assert names(root) == []
    blocked.unlink()
    assert start(root)
    assert names(root) == BUNDLED
