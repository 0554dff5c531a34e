"""A directory written by Ollama is served here, and what is written here has the same bytes."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from model_store.create import CreateSpec
from model_store.create.describe import describe
from model_store.digests import Digest
from model_store.errors import ModelNotFound
from model_store.gguf import read_header
from model_store.manifests import CONFIG_TYPE, LAYER_PREFIX, Layer, Manifest, parse_manifest
from model_store.names import ModelName
from model_store.store import Store
from tests.support import gguf_bytes
from tests.unit.model_store.conftest import Create, blobs

CONFIG = (
    b'{"model_format":"gguf","model_family":"llama","model_families":["llama"],'
    b'"model_type":"260K","file_type":"unknown","architecture":"amd64","os":"linux"}\n'
)
WEIGHTS = "63681b67209de703739e3553a5d8fa3b2853b83dc9d3752001d184d26dd75902"
TEMPLATE = b"{{- range .Messages }}<|{{ .Role }}|>{{ .Content }}\n{{ end }}<|assistant|>"
SYSTEM = b"You tell stories."
PARAMETERS = b'{"stop":["\\u003c|"],"temperature":0.5}\n'


def layer(kind: str, data: bytes) -> Layer:
    return Layer(LAYER_PREFIX + kind, Digest.of(data), len(data))


def test_a_manifest_has_the_bytes_that_the_reference_writes() -> None:
    """These two digests are what a reference server listed for the same two models."""
    config = Layer(CONFIG_TYPE, Digest.of(CONFIG), len(CONFIG))
    weights = Layer(LAYER_PREFIX + "model", Digest(WEIGHTS), 1054776 - len(CONFIG))
    texts = (layer("template", TEMPLATE), layer("system", SYSTEM), layer("params", PARAMETERS))
    stories = Manifest(config, (weights,))
    chat = Manifest(config, (weights.derived_from("stories:latest"), *texts))

    assert [Digest.of(manifest.encode()).hex for manifest in (stories, chat)] == [
        "39c2869da2f93d2402458d0b8d7f8e11bd344cb208b7f507b2789d0e931aab8d",
        "4344fed590c22d488e34e375f3f0bc4c30de278d7e570adcd4bd68da55ba36e9",
    ]
    assert chat.size == 1054906
    assert parse_manifest("chat", chat.encode()) == chat


def test_an_empty_manifest_has_null_for_its_layers() -> None:
    assert b'"layers":null' in Manifest(None, ()).encode()


def test_text_layers_have_the_digests_that_the_reference_gives_them(
    store: Store, create: Create, base: str
) -> None:
    create("made", parent="base", template="{{ .Prompt }}", system="Say hi!", licenses=["MIT"])

    layers = store.resolve(ModelName.parse("made")).layers
    assert {layer.kind: layer.digest.hex for layer in layers if layer.kind != "model"} == {
        "template": "b507b9c2f6ca642bffcd06665ea7c91f235fd32daeefdf875a0f938db05fb315",
        "system": "f29e82a8284dbdf5910b1555580ff60b04238b8da9d5e51159ada67a4d0d5851",
        "license": "e5dcffe836b6ec8a58e492419b550e65fb8cbdc308503979e5dacb33ac7ea3b7",
    }


def test_a_file_of_one_key_is_described_as_the_reference_does(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(
        gguf_bytes.gguf([gguf_bytes.key("general.architecture", gguf_bytes.STRING, "test")])
    )
    spec = CreateSpec(name=ModelName.parse("empty"), check_template=lambda _: None)

    config = describe(spec, None, [read_header(file)]).encode()

    digest = "sha256:99759ad5b91e723db0393d698ffbb448b1b7df5ff6377a108c49254583b1bc8c"
    assert str(Digest.of(config)) == digest


@pytest.fixture
def written(root: Path) -> Path:
    """A directory as Ollama leaves it: pulled models, a broken-off download, an old config."""
    weights = gguf_bytes.model()
    config = json.dumps({**json.loads(CONFIG), "rootfs": {"type": "layers", "diff_ids": []}})
    parts = {
        "model": weights,
        "template": TEMPLATE,
        "system": SYSTEM,
        "license": b"MIT",
        "params": PARAMETERS,
        "messages": b'[{"role":"user","content":"Hi"},{"role":"assistant","content":"Yo"}]\n',
    }
    (root / "blobs").mkdir(parents=True)
    layers = []
    for kind, data in parts.items():
        write_blob(root, data)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        layers.append({"mediaType": LAYER_PREFIX + kind, "digest": digest, "size": len(data)})
    write_blob(root, config.encode())
    (root / "blobs" / ("sha256-" + "0" * 64 + "-partial")).write_bytes(bytes(1000))
    (root / "blobs" / ("sha256-" + "0" * 64 + "-partial-0")).write_text('{"N":0}\n')
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {
            "mediaType": CONFIG_TYPE,
            "digest": f"sha256:{hashlib.sha256(config.encode()).hexdigest()}",
            "size": len(config),
        },
        "layers": layers,
    }
    for path in ("registry.ollama.ai/library/Pulled/8B", "hf.co/User/Repo-GGUF/Q4_K_M"):
        file = root / "manifests" / path
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(manifest, indent=2))
        os.utime(file, (1000, 1000))
    return root


def write_blob(root: Path, data: bytes) -> None:
    (root / "blobs" / f"sha256-{hashlib.sha256(data).hexdigest()}").write_bytes(data)


def test_models_that_ollama_pulled_are_complete(written: Path) -> None:
    store = Store(written)
    store.prepare()

    assert [m.name.short for m in store.models()] == ["Pulled:8B", "hf.co/User/Repo-GGUF:Q4_K_M"]
    model = store.resolve(ModelName.parse("pulled:8b"))
    file = written / "manifests/registry.ollama.ai/library/Pulled/8B"
    used = [name for name in blobs(written) if "partial" not in name]
    assert model.digest == hashlib.sha256(file.read_bytes()).hexdigest()
    assert model.modified_at == 1000
    assert model.size == sum((written / "blobs" / name).stat().st_size for name in used)
    assert model.config.model_type == "260K"
    assert model.template == TEMPLATE.decode()
    assert model.system == SYSTEM.decode()
    assert model.parameters == {"stop": ["<|"], "temperature": 0.5}
    assert model.licenses() == ("MIT",)
    assert [(m.role, m.content) for m in model.messages] == [("user", "Hi"), ("assistant", "Yo")]
    assert model.header().architecture == "llama"


def test_a_start_leaves_a_download_that_ollama_may_resume(written: Path) -> None:
    before = blobs(written)
    Store(written).prepare()

    assert blobs(written) == before


def test_blobs_of_very_old_stores_are_found_after_a_start(root: Path) -> None:
    digest = Digest.of(b"old")
    (root / "blobs").mkdir(parents=True)
    (root / "blobs" / str(digest)).write_bytes(b"old")
    store = Store(root)
    store.prepare()

    assert store.has_blob(digest)


def test_the_last_of_two_templates_counts_and_later_parameters_win(
    store: Store, create: Create, base: str, root: Path
) -> None:
    create("made", parent="base", template="new", parameters={"a": 1, "b": 1})
    path = root / "manifests/registry.ollama.ai/library/made/latest"
    fields = json.loads(path.read_bytes())
    for kind, data in (("prompt", b"older name"), ("params", b'{"b":2}')):
        write_blob(root, data)
        digest = str(Digest.of(data))
        fields["layers"].append({"mediaType": LAYER_PREFIX + kind, "digest": digest, "size": 1})
    path.write_text(json.dumps(fields))

    model = store.resolve(ModelName.parse("made"))
    assert model.template == "older name"
    assert model.parameters == {"a": 1, "b": 2}


def test_a_blob_of_a_model_may_only_be_a_regular_file(
    store: Store, base: str, root: Path, tmp_path: Path
) -> None:
    """A link planted in the directory must not make the server read another file."""
    blob = root / "blobs" / base.replace(":", "-")
    (tmp_path / "elsewhere").write_bytes(blob.read_bytes())
    blob.unlink()
    blob.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ModelNotFound):
        store.resolve(ModelName.parse("base"))
