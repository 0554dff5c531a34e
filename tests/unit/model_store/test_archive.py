"""A model leaves in one file and comes in whole, or not at all."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from model_store.archive import name_of, open_archive
from model_store.digests import Digest
from model_store.errors import ArchiveInvalid, BlobNotFound, ModelNotFound
from model_store.layout import Layout
from model_store.names import ModelName
from model_store.store import Store
from tests.support import gguf_bytes
from tests.unit.model_store.conftest import Create, Upload

NAME = ModelName.parse("me/tale:v1")
FILES = dict[str, bytes]


@pytest.fixture
def archive(store: Store, upload: Upload, create: Create, tmp_path: Path) -> Path:
    """An archive of a model with a template and a system text."""
    digest = upload(gguf_bytes.model("llama"))
    create("me/tale:v1", files={"m.gguf": digest}, template="{{ .Prompt }}", system="Be brief.")
    path = tmp_path / "tale.tar"
    with path.open("wb") as file:
        store.export(NAME, file, lambda n: None)
    return path


@pytest.fixture
def other(tmp_path: Path) -> Store:
    store = Store(tmp_path / "other")
    store.prepare()
    return store


def install(store: Store, path: Path, name: ModelName = NAME) -> int:
    """Install the only model of an archive; return how many bytes were told."""
    told = 0

    def count(n: int) -> None:
        nonlocal told
        told += n

    with open_archive(path) as archive:
        (entry,) = archive.entries
        store.import_model(archive, entry, name, count)
        assert told == archive.size(entry)
    return told


def content(path: Path) -> FILES:
    with tarfile.open(path) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]


def weights_in(files: FILES) -> str:
    return next(name for name, data in files.items() if data.startswith(b"GGUF"))


def rewritten(path: Path, change: Callable[[FILES], None]) -> Path:
    files = content(path)
    change(files)
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def test_a_model_that_left_and_came_in_is_the_same(
    store: Store, archive: Path, other: Store
) -> None:
    assert install(other, archive) > 0

    one, two = store.resolve(NAME), other.resolve(NAME)
    assert (one.digest, one.template, one.system) == (two.digest, two.template, two.system)
    assert one.weights is not None
    assert two.weights is not None
    assert one.weights.read_bytes() == two.weights.read_bytes()


def test_the_archive_is_one_that_container_tools_read(archive: Path) -> None:
    files = content(archive)
    index = json.loads(files["index.json"])
    (described,) = index["manifests"]

    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    assert described["annotations"]["org.opencontainers.image.ref.name"] == "v1"
    blobs = {n.rpartition("/")[2]: d for n, d in files.items() if n.startswith("blobs/sha256/")}
    assert all(Digest.of(data).hex == digest for digest, data in blobs.items())
    manifest = json.loads(blobs[described["digest"].removeprefix("sha256:")])
    assert {part["digest"][7:] for part in [manifest["config"], *manifest["layers"]]} < set(blobs)


def test_it_may_be_installed_under_another_name(archive: Path, other: Store) -> None:
    install(other, archive, ModelName.parse("renamed"))

    assert [model.name.short for model in other.models()] == ["renamed:latest"]


def test_the_archive_tells_the_name(archive: Path) -> None:
    with open_archive(archive) as opened:
        assert name_of(opened.entries[0]) == NAME


def test_a_second_import_copies_nothing(archive: Path, other: Store, tmp_path: Path) -> None:
    install(other, archive)
    before = {path: path.stat().st_ino for path in (tmp_path / "other/blobs").iterdir()}
    install(other, archive)
    assert {path: path.stat().st_ino for path in (tmp_path / "other/blobs").iterdir()} == before


def test_a_damaged_blob_is_told_and_nothing_is_installed(archive: Path, other: Store) -> None:
    def damage(files: FILES) -> None:
        largest = weights_in(files)
        files[largest] = b"x" + files[largest][1:]

    with pytest.raises(ArchiveInvalid, match="is damaged"):
        install(other, rewritten(archive, damage))
    assert other.models() == ()


def test_a_missing_blob_is_told(archive: Path, other: Store) -> None:
    def remove(files: FILES) -> None:
        del files[weights_in(files)]

    with pytest.raises(ArchiveInvalid, match="is missing"):
        install(other, rewritten(archive, remove))


def test_a_manifest_that_is_not_the_one_of_the_index_is_refused(
    archive: Path, other: Store
) -> None:
    def swap(files: FILES) -> None:
        digest = json.loads(files["index.json"])["manifests"][0]["digest"]
        files[f"blobs/sha256/{digest[7:]}"] += b" "

    with pytest.raises(ArchiveInvalid, match=r"the manifest .* is damaged"):
        install(other, rewritten(archive, swap))


@pytest.mark.parametrize(
    "index",
    [b"", b"[]", b"{}", b'{"manifests": 5}', b'{"manifests": [{"digest": "../../etc/passwd"}]}',
     b'{"manifests": [{"digest": 5}]}', b'{"manifests": [null]}', b"[" * 100_000],
)  # fmt: skip
def test_a_broken_index_is_told(archive: Path, index: bytes) -> None:
    path = rewritten(archive, lambda files: files.update({"index.json": index}))
    with pytest.raises(ArchiveInvalid, match=r"index\.json"), open_archive(path):
        pass


def test_an_archive_without_a_name_wants_one(archive: Path) -> None:
    def forget(files: FILES) -> None:
        index = json.loads(files["index.json"])
        del index["manifests"][0]["annotations"]
        files["index.json"] = json.dumps(index).encode()

    with open_archive(rewritten(archive, forget)) as opened:
        (entry,) = opened.entries
        with pytest.raises(ArchiveInvalid, match="--name"):
            name_of(entry)


def test_what_is_no_tar_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"GGUF" * 1000)
    with pytest.raises(ArchiveInvalid), open_archive(path):
        pass


def test_an_archive_that_was_cut_off_is_told(archive: Path, other: Store) -> None:
    archive.write_bytes(archive.read_bytes()[:-10_240])
    with pytest.raises(ArchiveInvalid):
        install(other, archive)
    assert other.models() == ()


def test_links_in_an_archive_lead_nowhere(archive: Path, other: Store, tmp_path: Path) -> None:
    """A link to a file of this machine would copy a secret into the store."""
    secret = tmp_path / "secret"
    secret.write_text("x")
    files = content(archive)
    with tarfile.open(archive, "w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            if name == weights_in(files):
                entry.type, entry.linkname = tarfile.SYMTYPE, str(secret)
                tar.addfile(entry)
            else:
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    with pytest.raises(ArchiveInvalid, match="is missing"):
        install(other, archive)


def test_a_model_whose_blob_is_gone_cannot_leave(
    store: Store, archive: Path, layout: Layout
) -> None:
    weights = store.resolve(NAME).weights
    assert weights is not None
    weights.unlink()
    with pytest.raises(BlobNotFound):
        store.export(NAME, io.BytesIO(), lambda n: None)
    with pytest.raises(ModelNotFound):
        store.export(ModelName.parse("absent"), io.BytesIO(), lambda n: None)
