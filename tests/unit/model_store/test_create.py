"""Models are made from uploaded files or from each other, or refused with the reason."""

from collections.abc import Callable
from pathlib import Path

import pytest

from model_store.create import CreateSpec
from model_store.digests import Digest
from model_store.errors import (
    BlobNotFound,
    CreateError,
    GGUFError,
    InvalidDigest,
    ModelNotFound,
    ParentNotFound,
    StoreError,
)
from model_store.model import Model
from model_store.names import ModelName
from model_store.store import Store
from model_store.text_layers import LARGEST_KEPT, LARGEST_TEXTS, MOST_LICENSES
from tests.support import gguf_bytes, tiny_models
from tests.unit.model_store.conftest import Create, Upload, blobs

Find = Callable[[str], Model]


@pytest.fixture
def find(store: Store) -> Find:
    return lambda text: store.resolve(ModelName.parse(text))


def kinds(model: Model) -> list[str]:
    return [layer.kind for layer in model.layers]


def digest_of(model: Model) -> str:
    assert model.weights is not None
    return str(Digest.parse(model.weights.name))


def test_an_uploaded_model_is_installed_as_it_is(
    store: Store, upload: Upload, create: Create, find: Find, tmp_path: Path
) -> None:
    digest = upload(tiny_models.write_llama(tmp_path / "m.gguf").read_bytes())

    steps = create("tiny", files={"tiny.gguf": digest})

    assert steps == [
        "parsing GGUF",
        "verifying conversion",
        f"creating new layer {digest}",
        "writing manifest",
        "success",
    ]
    model = find("tiny")
    assert digest_of(model) == digest
    assert model.config.model_format == "gguf"
    assert (model.config.model_family, model.config.model_families) == ("llama", ("llama",))
    assert model.config.model_type.endswith("K")
    assert model.header().architecture == "llama"
    assert model.template is None


def test_a_model_made_from_another_shares_its_layers(create: Create, find: Find, base: str) -> None:
    steps = create("child", parent="BASE", system="Hi")

    assert steps[0] == f"using existing layer {base}"
    assert steps[1].startswith("creating new layer sha256:")
    assert steps[2:] == ["writing manifest", "success"]
    model = find("child")
    assert digest_of(model) == base
    assert model.parent_model == "base:latest"
    assert model.system == "Hi"


def test_a_layer_that_is_there_already_is_told_as_existing(create: Create, base: str) -> None:
    create("one", parent="base", system="Hi")

    assert all(
        s.startswith("using existing") for s in create("two", parent="base", system="Hi")[:2]
    )


def test_parents_are_merged_item_by_item(create: Create, find: Find, base: str) -> None:
    create(
        "parent",
        parent="base",
        template="T",
        system="S",
        licenses=["MIT"],
        parameters={"temperature": 1, "top_k": 10, "stop": ["USER:", "ASSISTANT:"]},
        messages=[{"role": "user", "content": "old"}],
        renderer="r",
        parser="p",
        requires="0.14.0",
    )
    create(
        "child",
        parent="parent",
        licenses=["Apache"],
        parameters={"temperature": 0.6, "stop": ["<|endoftext|>"]},
        messages=[{"role": "User", "content": "new"}],
        parser="q",
    )

    model = find("child")
    assert (model.template, model.system, model.parent_model) == ("T", "S", "parent:latest")
    assert model.licenses() == ("MIT", "Apache")
    assert model.parameters == {"temperature": 0.6, "top_k": 10, "stop": ["<|endoftext|>"]}
    assert [(m.role, m.content) for m in model.messages] == [("user", "new")]
    assert (model.config.renderer, model.config.parser) == ("r", "q")
    assert model.config.requires == "0.14.0"
    assert kinds(model) == [
        "model",
        "template",
        "system",
        "license",
        "license",
        "params",
        "messages",
    ]
    params = next(layer for layer in model.layers if layer.kind == "params")
    assert params.parent == ""


def test_tool_calls_in_messages_are_kept(create: Create, find: Find, base: str) -> None:
    call = {"function": {"name": "f", "arguments": {"b": 1, "a": 2}}}
    create("m", parent="base", messages=[{"role": "assistant", "tool_calls": [call], "odd": 1}])

    assert find("m").messages[0].fields == {
        "role": "assistant",
        "content": "",
        "tool_calls": [call],
    }


def test_files_become_model_projector_and_adapter_by_their_content(
    create: Create, upload: Upload, find: Find
) -> None:
    files = {
        "c.gguf": upload(gguf_bytes.adapter()),
        "b.gguf": upload(gguf_bytes.projector()),
        "a.gguf": upload(gguf_bytes.model()),
    }
    create("vision", files=files)

    model = find("vision")
    assert kinds(model) == ["model", "projector", "adapter"]
    assert len(model.projectors) == len(model.adapters) == 1
    assert model.config.model_families == ("llama",)


def test_an_adapter_is_put_on_a_model(
    create: Create, upload: Upload, find: Find, base: str
) -> None:
    digest = upload(gguf_bytes.adapter())
    steps = create("tuned", parent="base", adapters={"any/../name": digest})

    assert steps[0] == "parsing GGUF"
    assert [path.name for path in find("tuned").adapters] == [digest.replace(":", "-")]


def test_several_adapters_are_put_on_a_model_in_the_order_of_their_names(
    create: Create, upload: Upload, find: Find, base: str
) -> None:
    second, first = upload(gguf_bytes.adapter()), upload(gguf_bytes.adapter(seed=1))
    create("tuned", parent="base", adapters={"b.gguf": second, "a.gguf": first})

    names = [path.name.replace("-", ":") for path in find("tuned").adapters]
    assert names == [first, second]


def test_a_file_without_an_ending_is_known_by_its_first_bytes(
    create: Create, upload: Upload, find: Find
) -> None:
    create("m", files={"weights": upload(gguf_bytes.model())})

    assert kinds(find("m")) == ["model"]


def test_info_presets_what_listings_show(create: Create, find: Find, base: str) -> None:
    info = {
        "model_family": "mine", "parameter_size": "9B", "quantization_level": "Q1",
        "base_name": "b", "context_length": 4096, "embedding_length": 64.0,
        "capabilities": ["tools", 5],
    }  # fmt: skip
    create("m", parent="base", info=info)

    config = find("m").config
    assert (config.model_family, config.model_families) == ("mine", ("mine", "llama"))
    assert (config.model_type, config.file_type, config.base_name) == ("9B", "Q1", "b")
    assert (config.context_length, config.embedding_length) == (4096, 64)
    assert config.capabilities == ("tools", "")


@pytest.mark.parametrize(
    ("architecture", "brought"),
    [
        ("gemma4", ("gemma4", "gemma4", {"stop": ["<turn|>"]})),
        ("nemotron_h", ("nemotron-3-nano", "nemotron-3-nano", {})),
        ("llama", ("", "", {})),
    ],
)
def test_some_architectures_bring_their_conversation_format(
    create: Create, upload: Upload, find: Find, architecture: str, brought: tuple[object, ...]
) -> None:
    create("m", files={"m.gguf": upload(gguf_bytes.model(architecture))})

    model = find("m")
    assert (model.config.renderer, model.config.parser, model.parameters) == brought


def test_a_new_model_takes_the_spelling_of_the_one_it_replaces(
    store: Store, create: Create, base: str
) -> None:
    create("BASE", parent="base", system="x")

    assert [model.name.short for model in store.models()] == ["base:latest"]


def test_replacing_a_model_frees_what_only_it_used(create: Create, base: str, root: Path) -> None:
    create("m", parent="base", system="old")
    create("m", parent="base", system="new")

    names = blobs(root)
    assert "sha256-" + Digest.of(b"old").hex not in names
    assert "sha256-" + Digest.of(b"new").hex in names
    assert base.replace(":", "-") in names


def test_replacing_a_model_keeps_blobs_when_pruning_is_off(base: str, root: Path) -> None:
    store = Store(root, keep_unreferenced=True)
    for system in ("old", "new"):
        spec = CreateSpec(
            name=ModelName.parse("m"),
            parent=ModelName.parse("base"),
            system=system,
            check_template=lambda _: None,
        )
        list(store.create(spec))

    assert "sha256-" + Digest.of(b"old").hex in blobs(root)


def test_a_model_may_be_made_from_itself(create: Create, find: Find, base: str) -> None:
    create("base", parent="base", system="x")

    assert find("base").system == "x"
    assert find("base").parent_model == "base:latest"


def test_no_manifest_is_written_when_a_blob_vanishes_in_the_middle(
    store: Store, base: str, root: Path
) -> None:
    """Another program may delete the parent while a model is being made from it."""
    spec = CreateSpec(
        name=ModelName.parse("m"), parent=ModelName.parse("base"), check_template=lambda _: None
    )
    steps = store.create(spec)
    next(steps)
    (root / "blobs" / base.replace(":", "-")).unlink()

    with pytest.raises(BlobNotFound):
        list(steps)
    with pytest.raises(ModelNotFound):
        store.resolve(ModelName.parse("m"))


def test_a_parent_that_is_not_installed_is_named(create: Create) -> None:
    with pytest.raises(ParentNotFound) as caught:
        create("m", parent="nosuch")

    assert str(caught.value) == 'model "nosuch:latest" not found, try pulling it first'


def test_a_template_is_checked_before_anything_is_done(store: Store, base: str) -> None:
    class BadTemplate(Exception):
        pass

    def refuse(text: str) -> None:
        raise BadTemplate(text)

    spec = CreateSpec(
        name=ModelName.parse("m"),
        parent=ModelName.parse("base"),
        template="{{ .Prompt",
        check_template=refuse,
    )
    with pytest.raises(BadTemplate, match="Prompt"):
        next(store.create(spec))


ZERO = "sha256:" + "0" * 64
REFUSED: dict[str, tuple[dict[str, object], type[StoreError], str]] = {
    "nothing": ({}, CreateError, "neither 'from' or 'files' was specified"),
    "absolute path": ({"files": {"/a.gguf": ZERO}}, CreateError, "file path must be relative"),
    "parent path": ({"files": {"../a.gguf": ZERO}}, CreateError, "file path must be relative"),
    "dotted path": ({"files": {"./a.gguf": ZERO}}, CreateError, "file path must be relative"),
    "trailing slash": ({"files": {"a/": ZERO}}, CreateError, "file path must be relative"),
    "bad digest": ({"files": {"a.gguf": "abc"}}, InvalidDigest, "invalid digest format"),
    "digest as path": (
        {"files": {"a.gguf": "sha256:../../etc/passwd"}}, InvalidDigest, "invalid digest format",
    ),
    "empty digest": ({"files": {"a.gguf": ""}}, InvalidDigest, "invalid digest format"),
    "not uploaded": ({"files": {"a.gguf": ZERO}}, BlobNotFound, f'blob "{ZERO}" not found'),
    "two adapters": (
        {"parent": "base", "adapters": {"a": ZERO, "b": ZERO}}, BlobNotFound,
        f'blob "{ZERO}" not found',
    ),
    "unknown quantization": (
        {"parent": "base", "quantize": "q5_x"}, CreateError,
        ("unsupported quantization type Q5_X - supported types are F32, F16, Q4_0, Q4_1, Q8_0, "
        "Q5_0, Q5_1, Q2_K, Q3_K_S, Q3_K_M, Q3_K_L, Q4_K_S, Q4_K_M, Q5_K_S, Q5_K_M, Q6_K, IQ4_NL, "
        "IQ3_S, IQ3_M, IQ4_XS, BF16, TQ1_0, TQ2_0, MXFP4_MOE, Q1_0"),
    ),
    "quantization that takes measurements": (
        {"parent": "base", "quantize": "iq2_xs"}, CreateError,
        ("quantizing to IQ2_XS takes an importance matrix: add a file with imatrix in its name, "
        "or quantize to another type"),
    ),
    "importance matrix alone": (
        {"files": {"imatrix.gguf": ZERO}, "quantize": "q4_0"}, CreateError,
        "neither 'from' or 'files' was specified",
    ),
    "importance matrix without a type": (
        {"parent": "base", "files": {"m.imatrix": ZERO}}, CreateError,
        "an importance matrix is for quantizing: set quantize to a type",
    ),
    "importance matrix that was not uploaded": (
        {"parent": "base", "files": {"imatrix.dat": ZERO}, "quantize": "q4_0"}, BlobNotFound,
        f'blob "{ZERO}" not found',
    ),
    "two importance matrices": (
        {"parent": "base", "files": {"a.imatrix": ZERO, "imatrix.dat": ZERO}, "quantize": "q4_0"},
        CreateError, "only one importance matrix can be used",
    ),
    "info text": (
        {"parent": "base", "info": {"base_name": 5}}, CreateError,
        'info field "base_name" must be a string',
    ),
    "info number": (
        {"parent": "base", "info": {"context_length": "x"}}, CreateError,
        'info field "context_length" must be a number',
    ),
    "info fraction": (
        {"parent": "base", "info": {"context_length": 1.5}}, CreateError,
        'info field "context_length" must be a non-negative integer',
    ),
    "info infinite": (
        {"parent": "base", "info": {"context_length": float("inf")}}, CreateError,
        'info field "context_length" must be a non-negative integer',
    ),
    "huge number": (
        {"parent": "base", "parameters": {"x": 10**400}}, CreateError,
        "the parameters cannot be stored: a number is too large",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_request_that_cannot_be_met_is_refused(create: Create, base: str, case: str) -> None:
    fields, error, text = REFUSED[case]

    with pytest.raises(error) as caught:
        create("m", **fields)

    assert str(caught.value) == text


SPLIT = gguf_bytes.key("split.count", gguf_bytes.U32, 2)


@pytest.mark.parametrize(
    ("file", "data", "refusal"),
    [
        ("a", b"hello", CreateError("unknown type")),
        ("a", b"", CreateError("unknown type")),
        ("a.gguf", b"hello", CreateError("supplied file was not in GGUF format")),
        ("a.gguf", b"GGUF", GGUFError("EOF")),
        ("a.gguf", gguf_bytes.model()[:-1], GGUFError("exceeds file size")),
        ("a.gguf", gguf_bytes.model("llama", SPLIT), CreateError("split GGUF")),
    ],
)
def test_a_file_that_is_no_whole_model_is_refused(
    create: Create, upload: Upload, file: str, data: bytes, refusal: StoreError
) -> None:
    with pytest.raises(type(refusal), match=str(refusal)):
        create("m", files={file: upload(data)})


@pytest.mark.parametrize(
    ("file_type", "wanted", "text"),
    [
        (7, "F16", "quantization is only supported for F16, BF16 and F32 models"),
        (None, "Q8_0", "quantization is only supported for F16, BF16 and F32 models"),
        (1, "Q8_0", "models cannot be quantized: the engine is not available"),
    ],
)
def test_quantizing_is_refused_with_the_reason(
    create: Create, upload: Upload, file_type: int | None, wanted: str, text: str
) -> None:
    digest = upload(gguf_bytes.model(file_type=file_type))

    with pytest.raises(CreateError) as caught:
        create("m", files={"m.gguf": digest}, quantize=wanted)

    assert str(caught.value) == text


def test_quantizing_to_the_type_that_a_model_has_does_nothing(
    create: Create, upload: Upload, find: Find
) -> None:
    digest = upload(gguf_bytes.model(file_type=15))
    create("m", files={"m.gguf": digest}, quantize="q4_k")

    assert digest_of(find("m")) == digest


def test_a_layer_that_is_too_large_to_be_read_again_is_refused(create: Create, base: str) -> None:
    with pytest.raises(CreateError, match="system is larger than"):
        create("m", parent="base", system="x" * (16 * 2**20 + 1))


def test_licenses_are_counted_with_those_of_the_parent(create: Create, base: str) -> None:
    """Each is a file of its own: 20,000 of them took a minute."""
    create("most", parent="base", licenses=[str(n) for n in range(MOST_LICENSES)])
    create("child", parent="most")

    for parent, texts in (("most", ["one more"]), ("base", ["MIT"] * (MOST_LICENSES + 1))):
        with pytest.raises(CreateError, match=f"at most {MOST_LICENSES} licenses, not"):
            create("x", parent=parent, licenses=texts)


def test_texts_of_a_model_are_bounded_together(create: Create, base: str) -> None:
    half = "x" * (LARGEST_TEXTS // 2)
    create("most", parent="base", licenses=[half])

    with pytest.raises(CreateError, match="the texts of the model are larger than"):
        create("x", parent="most", licenses=[half + "y"])


@pytest.mark.parametrize(
    "field",
    [
        {"system": "x" * (LARGEST_KEPT + 1)},
        {"template": "x" * (LARGEST_KEPT + 1)},
        {"messages": [{"role": "user", "content": "x" * LARGEST_KEPT}]},
        {"parameters": {"stop": ["x" * LARGEST_KEPT]}},
        {"info": {"capabilities": ["x" * LARGEST_KEPT]}},
    ],
    ids=lambda field: next(iter(field)),
)
def test_what_every_listing_keeps_is_bounded(
    create: Create, base: str, field: dict[str, object]
) -> None:
    with pytest.raises(CreateError, match=f"is larger than {LARGEST_KEPT} bytes"):
        create("x", parent="base", **field)
