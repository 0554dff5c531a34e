"""Listing, finding, copying and deleting, while other programs use the same directory."""

import json
import os
import threading
from pathlib import Path

import pytest

from model_store.blobs import put_blob
from model_store.digests import Digest
from model_store.errors import ManifestInvalid, ModelNotFound, StorageFailed
from model_store.layout import Layout
from model_store.names import ModelName
from model_store.store import Store
from model_store.text_layers import MOST_LAYERS
from tests.unit.model_store.conftest import Create, blobs

LIBRARY = "manifests/registry.ollama.ai/library"


def names(store: Store) -> list[str]:
    return [model.name.short for model in store.models()]


def name(text: str) -> ModelName:
    return ModelName.parse(text)


def manifest(root: Path, model: str) -> Path:
    return root / LIBRARY / model / "latest"


def test_models_are_listed_newest_first_then_by_name(
    store: Store, create: Create, base: str, root: Path
) -> None:
    for model, modified in (("b", 5), ("a", 5), ("c", 9), ("base", 1)):
        if model != "base":
            create(model, parent="base")
        os.utime(manifest(root, model), (modified, modified))

    assert names(store) == ["c:latest", "a:latest", "b:latest", "base:latest"]


def test_a_model_added_by_another_program_is_listed(store: Store, base: str, root: Path) -> None:
    assert names(store) == ["base:latest"]
    Store(root).copy(name("base"), name("me/other:q4"))

    assert set(names(store)) == {"base:latest", "me/other:q4"}


def test_a_manifest_removed_by_another_program_is_gone_at_once(
    store: Store, base: str, root: Path
) -> None:
    assert names(store) == ["base:latest"]
    manifest(root, "base").unlink()

    assert names(store) == []
    with pytest.raises(ModelNotFound):
        store.resolve(name("base"))


def test_a_manifest_rewritten_in_place_is_read_again(
    store: Store, create: Create, base: str, root: Path
) -> None:
    """The reference does not replace manifests, it writes over them, within one clock tick too."""
    create("other", parent="base", system="one")
    create("twin", parent="base", system="two")
    path, first = manifest(root, "other"), store.resolve(name("other"))
    facts = path.stat()
    path.write_bytes(manifest(root, "twin").read_bytes())
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))

    assert first.system == "one"
    assert store.resolve(name("other")).system == "two"
    assert next(m for m in store.models() if m.name.model == "other").system == "two"


def test_an_unchanged_listing_is_the_same_objects(store: Store, base: str, root: Path) -> None:
    """With thousands of models, reading every manifest for every listing would take seconds."""
    os.utime(manifest(root, "base"), (1, 1))

    assert store.models()[0] is store.models()[0]


def test_a_model_is_found_in_any_case(store: Store, base: str) -> None:
    assert store.resolve(name("BASE:Latest")).name.short == "base:latest"


@pytest.mark.parametrize("text", ["nosuch", "base:other", "other/base", "h.example/ns/base"])
def test_a_model_that_is_not_installed_is_not_found(store: Store, base: str, text: str) -> None:
    with pytest.raises(ModelNotFound):
        store.resolve(name(text))


def test_a_host_too_long_for_the_file_system_is_not_found(store: Store) -> None:
    """Encrypted directories take 143 bytes; the path as a whole has a limit, too."""
    name = ModelName("h" * 255, "n" * 80, "m" * 80, "t" * 80)

    with pytest.raises(ModelNotFound):
        store.resolve(name)


def test_a_model_without_its_weights_is_not_found(store: Store, base: str, root: Path) -> None:
    (root / "blobs" / base.replace(":", "-")).unlink()

    with pytest.raises(ModelNotFound):
        store.resolve(name("base"))


DAMAGED = {
    "empty": b"",
    "cut off": b'{"schemaVersion":2,"layers":[{"mediaType":"applica',
    "no JSON": b"<html>502 Bad Gateway</html>",
    "a list": b"[]",
    "layers wrong": b'{"layers":5}',
    "layer wrong": b'{"layers":[5]}',
    "digest wrong": b'{"layers":[{"digest":"sha256:../../../etc/passwd","size":1}]}',
    "digest missing": b'{"layers":[{"size":1}]}',
    "size negative": b'{"layers":[{"digest":"sha256:%s","size":-1}]}' % (b"0" * 64),
    "size wrong": b'{"layers":[{"digest":"sha256:%s","size":"9"}]}' % (b"0" * 64),
    "config wrong": b'{"config":7,"layers":null}',
    "deep": b"[" * 100_000,
    "not UTF-8": b"\xff\xfe{",
    "large": b" " * (4 * 2**20 + 1) + b"{}",
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_manifest_hides_one_model_and_can_be_deleted(
    store: Store, base: str, root: Path, case: str
) -> None:
    path = root / LIBRARY / "bad" / "latest"
    path.parent.mkdir()
    path.write_bytes(DAMAGED[case])

    assert names(store) == ["base:latest"]
    with pytest.raises(ManifestInvalid) as caught:
        store.resolve(name("bad"))
    assert str(root) not in str(caught.value)
    store.delete(name("bad"))
    assert not path.exists()
    assert store.resolve(name("base"))


def test_stray_files_dangling_links_and_pipes_are_passed_over(
    store: Store, base: str, root: Path
) -> None:
    """A file that a desktop leaves behind must not hide or break any model."""
    library = root / LIBRARY
    (root / "manifests" / ".DS_Store").write_bytes(b"\0")
    (library / ".DS_Store").write_bytes(b"\0")
    (library / "base" / ".DS_Store").write_bytes(b"\0")
    (library / "base" / "dangling").symlink_to("nowhere")
    (library / "base" / "folder").mkdir()
    os.mkfifo(library / "base" / "pipe")

    assert names(store) == ["base:latest"]
    for tag in ("dangling", "folder", "pipe"):
        with pytest.raises(ModelNotFound):
            store.resolve(name(f"base:{tag}"))
    store.delete(name("base"))
    assert names(store) == []


def test_pulled_content_with_other_spacing_and_unknown_keys_is_understood(
    store: Store, create: Create, base: str, root: Path
) -> None:
    path = manifest(root, "base")
    fields = json.loads(path.read_bytes())
    fields["annotations"] = {"x": 1}
    fields["layers"][0]["urls"] = None
    data = json.dumps(fields, indent=3).encode()
    path.write_bytes(data)

    model = store.resolve(name("base"))

    assert model.digest == Digest.of(data).hex
    assert model.weights is not None


def test_a_manifest_without_config_or_layers_is_listed(store: Store, root: Path) -> None:
    for model, data in (("a", b'{"layers":null}'), ("b", b'{"config":{}}'), ("c", b"{}")):
        manifest(root, model).parent.mkdir(parents=True)
        manifest(root, model).write_bytes(data)

    assert sorted(names(store)) == ["a:latest", "b:latest", "c:latest"]
    assert store.resolve(name("a")).weights is None
    with pytest.raises(ModelNotFound):
        store.resolve(name("a")).header()


def test_a_copy_has_the_same_bytes_and_outlives_its_source(
    store: Store, base: str, root: Path
) -> None:
    store.copy(name("base"), name("copy:v1"))
    store.delete(name("base"))

    model = store.resolve(name("copy:v1"))
    assert model.weights == root / "blobs" / base.replace(":", "-")
    assert model.weights.is_file()


def test_a_copy_onto_the_same_name_succeeds(store: Store, base: str) -> None:
    store.copy(name("base"), name("BASE"))
    store.copy(name("nosuch"), name("nosuch"))

    assert names(store) == ["base:latest"]


def test_a_copy_of_what_is_not_there_is_refused(store: Store) -> None:
    with pytest.raises(ModelNotFound):
        store.copy(name("nosuch"), name("copy"))


def test_a_shared_layer_survives_the_deletion_of_one_model(
    store: Store, create: Create, base: str, root: Path
) -> None:
    create("child", parent="base", system="only mine")
    store.delete(name("child"))

    left = blobs(root)
    assert "sha256-" + Digest.of(b"only mine").hex not in left
    assert base.replace(":", "-") in left

    store.delete(name("base"))
    assert blobs(root) == set()
    assert not (root / LIBRARY).exists()


def test_a_deletion_spares_blobs_that_a_damaged_manifest_still_names(
    store: Store, base: str, root: Path
) -> None:
    """A manifest cut off by a crash can be restored; a blob of 100 GB cannot."""
    store.copy(name("base"), name("damaged"))
    path = manifest(root, "damaged")
    path.write_bytes(path.read_bytes()[:-3])

    store.delete(name("base"))

    assert base.replace(":", "-") in blobs(root)


def test_a_blob_that_is_already_gone_does_not_stop_a_deletion(
    store: Store, base: str, root: Path
) -> None:
    (root / "blobs" / base.replace(":", "-")).unlink()
    store.delete(name("base"))

    assert names(store) == []


def test_deleting_what_is_not_there_is_refused(store: Store) -> None:
    with pytest.raises(ModelNotFound):
        store.delete(name("nosuch"))


def test_two_stores_may_list_and_change_one_directory_at_once(
    store: Store, base: str, root: Path
) -> None:
    other, problems = Store(root), []

    def change(which: Store, prefix: str) -> None:
        try:
            for i in range(15):
                which.copy(name("base"), name(f"{prefix}{i}"))
                which.models()
                which.delete(name(f"{prefix}{i}"))
        except Exception as e:  # noqa: BLE001 - whatever it is, the test must tell
            problems.append(e)

    threads = [
        threading.Thread(target=change, args=(s, p)) for s, p in ((store, "x"), (other, "y"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert problems == []
    assert names(store) == ["base:latest"]
    assert store.resolve(name("base")).weights is not None


@pytest.mark.parametrize(
    "damage",
    [
        ("config", b"{"),
        ("config", b"[]"),
        ("params", b"{not JSON"),
        ("system", b"x" * (16 * 2**20 + 1)),
    ],
)
def test_a_damaged_layer_hides_one_model(
    store: Store, create: Create, base: str, root: Path, damage: tuple[str, bytes]
) -> None:
    kind, content = damage
    create("child", parent="base", system="x", parameters={"top_k": 1})
    path = manifest(root, "child")
    fields = json.loads(path.read_bytes())
    layers = [fields["config"], *fields["layers"]]
    layer = layers[0] if kind == "config" else next(x for x in layers if kind in x["mediaType"])
    layer["digest"] = str(put_blob(Layout(root), content).digest)
    path.write_text(json.dumps(fields))

    assert names(store) == ["base:latest"]
    with pytest.raises(ManifestInvalid):
        store.resolve(name("child"))


@pytest.mark.parametrize("content", [b'{"stop":null}', b"[1]", b"null"])
def test_parameters_of_another_form_are_harmless(
    store: Store, create: Create, base: str, root: Path, content: bytes
) -> None:
    create("child", parent="base", parameters={"top_k": 1})
    path = manifest(root, "child")
    fields = json.loads(path.read_bytes())
    fields["layers"][-1]["digest"] = str(put_blob(Layout(root), content).digest)
    path.write_text(json.dumps(fields))

    assert set(store.resolve(name("child")).parameters) <= {"stop"}


def test_a_manifest_that_cannot_be_written_is_told_and_leaves_nothing(
    store: Store, base: str, root: Path
) -> None:
    (root / LIBRARY / "blocked").write_text("a file where a directory belongs")

    with pytest.raises(StorageFailed) as caught:
        store.copy(name("base"), name("blocked"))

    assert str(root) not in str(caught.value)
    assert [path.name for path in (root / "manifests").iterdir()] == ["registry.ollama.ai"]
    assert names(store) == ["base:latest"]


def test_licenses_are_read_when_they_are_shown(
    store: Store, create: Create, base: str, root: Path
) -> None:
    """Kept for every listed model, those of a hostile one would fill the memory."""
    create("child", parent="base", licenses=["MIT"])
    listed = next(model for model in store.models() if model.name == name("child"))
    [path] = listed.license_files
    path.write_text("Apache")

    assert listed.licenses() == ("Apache",)
    path.unlink()
    with pytest.raises(ModelNotFound):
        listed.licenses()


def test_a_manifest_of_too_many_layers_hides_one_model(
    store: Store, create: Create, base: str, root: Path
) -> None:
    create("child", parent="base", licenses=["MIT"])
    path = manifest(root, "child")
    fields = json.loads(path.read_bytes())
    fields["layers"] += [fields["layers"][-1]] * MOST_LAYERS
    path.write_text(json.dumps(fields))

    assert names(store) == ["base:latest"]
    with pytest.raises(ManifestInvalid, match=f"more than {MOST_LAYERS} layers"):
        store.resolve(name("child"))
