"""What is read from a store or a registry can be written again, or the model is refused."""

import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from model_store.archive import open_archive
from model_store.blobs import put_blob
from model_store.errors import ManifestInvalid
from model_store.json_text import parse_json
from model_store.layout import Layout
from model_store.names import ModelName
from model_store.store import Store
from tests.unit.model_store.conftest import Create

CHILD = ModelName.parse("child")
UNWRITABLE = {
    "half a pair": r'"\ud800"',
    "the other half": r'["a", {"b": "x\uDFFFy"}]',
    "in a key": r'{"\udc00": 1}',
    "a pair the wrong way round": r'"\ude00\ud83d"',
    "not a number": '{"temperature": NaN}',
    "infinite": "[-Infinity]",
    "too large": '{"temperature": 1e999}',
    "far too large": '{"top_k": %s}' % ("9" * 400),
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("case", UNWRITABLE)
def test_json_that_cannot_be_written_again_is_refused(case: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any of them
        parse_json(UNWRITABLE[case])


@pytest.mark.parametrize("data", [b'"\xff"', b'"\xed\xa0\x80"', '"a"'.encode("utf-16")])
def test_bytes_that_are_not_utf8_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - as above
        parse_json(data)


def test_all_other_json_is_read_as_usual() -> None:
    text = r'{"a": ["\ud83d\ude00", "\u0000", -1, 0.5, true, null], "b": 9223372036854775807}'

    assert parse_json(text) == json.loads(text)
    assert parse_json("18446744073709551616") == 2.0**64


def child(store: Store, create: Create, root: Path, part: str, text: str) -> None:
    """Install a model whose manifest has `text` in one of its parts."""
    create("child", parent="base", parameters={"top_k": 1}, messages=[{"role": "user"}])
    path = root / "manifests/registry.ollama.ai/library/child/latest"
    fields = json.loads(path.read_bytes())
    layers = {layer["mediaType"].rpartition(".")[2]: layer for layer in fields["layers"]}
    if part == "from":
        layers["model"]["from"] = "@@"
    else:
        layer = fields["config"] if part == "config" else layers[part]
        layer["digest"] = str(put_blob(Layout(root), f'{{"model_family": {text}}}'.encode()).digest)
    path.write_text(json.dumps(fields).replace('"@@"', text))


@pytest.mark.usefixtures("base")
@pytest.mark.parametrize("part", ["from", "config", "params", "messages"])
def test_a_model_with_such_text_is_left_out_of_the_list_with_one_warning(
    store: Store, create: Create, root: Path, part: str, caplog: pytest.LogCaptureFixture
) -> None:
    child(store, create, root, part, r'"\ud800"')

    for _ in range(3):
        assert [model.name.short for model in store.models()] == ["base:latest"]
    with pytest.raises(ManifestInvalid):
        store.resolve(CHILD)
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "child/latest' is left out of the list: the manifest of model" in warning


@pytest.mark.usefixtures("base")
@pytest.mark.parametrize("part", ["from", "config", "params", "messages"])
def test_a_model_with_such_text_is_not_imported(
    store: Store, create: Create, root: Path, tmp_path: Path, part: str
) -> None:
    child(store, create, root, part, r'"\ud800"')
    manifest = (root / "manifests/registry.ollama.ai/library/child/latest").read_bytes()
    files = {
        path.name.replace("sha256-", "blobs/sha256/"): path for path in (root / "blobs").iterdir()
    }
    data = {name: path.read_bytes() for name, path in files.items()}
    digest = put_blob(Layout(root), manifest).digest
    data[f"blobs/sha256/{digest.hex}"] = manifest
    data["index.json"] = json.dumps({"manifests": [{"digest": str(digest)}]}).encode()
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for name, content in data.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))

    other = Store(tmp_path / "other")
    other.prepare()
    with open_archive(tmp_path / "x.tar") as archive, pytest.raises(ManifestInvalid):
        other.import_model(archive, archive.entries[0], CHILD, lambda _: None)
    assert other.models() == ()


def test_a_time_of_change_that_no_calendar_has_hides_nothing(
    store: Store, base: str, root: Path
) -> None:

    path = root / "manifests/registry.ollama.ai/library/base/latest"
    for seconds in (-(10**10), 2**34):
        os.utime(path, (seconds, seconds))
        (model,) = store.models()
        assert 0 <= model.modified_at < 253402300800
