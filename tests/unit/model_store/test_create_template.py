"""A model made from files gets the Go template that is known to do what its own in Jinja does."""

import pytest

from model_store.create import CreateSpec, KnownTemplate
from model_store.digests import Digest
from model_store.gguf import ChatTemplate
from model_store.model import Model
from model_store.names import ModelName
from model_store.store import Store
from tests.support import gguf_bytes
from tests.support.gguf_bytes import STRING, U32, array, key
from tests.unit.model_store.conftest import Create, Upload

JINJA = "{{ messages }}"
KNOWN = KnownTemplate("known", "[{{ .Prompt }}]", ("[", "]"))
CHAT_MODEL = gguf_bytes.model("llama", key("tokenizer.chat_template", STRING, JINJA))


def detect(chat: ChatTemplate) -> KnownTemplate | None:
    return KNOWN if chat.source == JINJA else None


def found(store: Store, name: str) -> Model:
    return store.resolve(ModelName.parse(name))


def kinds(model: Model) -> list[str]:
    return [layer.kind for layer in model.layers]


def test_template_and_stops_are_attached_and_the_template_is_named(
    store: Store, upload: Upload, create: Create
) -> None:
    digest = upload(CHAT_MODEL)

    steps = create("m", files={"m.gguf": digest}, system="Hi", detect_template=detect)

    model = found(store, "m")
    assert (model.template, model.parameters) == (KNOWN.source, {"stop": ["[", "]"]})
    assert kinds(model) == ["model", "template", "system", "params"]
    assert steps == [
        "parsing GGUF",
        "verifying conversion",
        f"creating new layer {digest}",
        "using autodetected template known",
        f"creating new layer {Digest.of(b'Hi')}",
        f"creating new layer {model.layers[-1].digest}",
        "writing manifest",
        "success",
    ]


def test_a_template_of_the_request_stands_in_its_place(
    store: Store, upload: Upload, create: Create
) -> None:
    """The stops stay: they are the model's, however its prompts are written."""
    steps = create("m", files={"m.gguf": upload(CHAT_MODEL)}, template="T", detect_template=detect)

    model = found(store, "m")
    assert (model.template, model.parameters) == ("T", {"stop": ["[", "]"]})
    assert kinds(model) == ["model", "template", "params"]
    assert not any("autodetected" in step for step in steps)


def test_a_template_of_the_request_that_is_the_known_one_is_not_called_detected(
    upload: Upload, create: Create
) -> None:
    files = {"m.gguf": upload(CHAT_MODEL)}

    steps = create("m", files=files, template=KNOWN.source, detect_template=detect)

    assert not any("autodetected" in step for step in steps)


def test_stops_of_the_request_stand_in_their_place(
    store: Store, upload: Upload, create: Create
) -> None:
    create(
        "m",
        files={"m.gguf": upload(CHAT_MODEL)},
        parameters={"stop": ["x"], "top_k": 3},
        detect_template=detect,
    )

    assert found(store, "m").parameters == {"stop": ["x"], "top_k": 3}


def test_a_model_made_from_another_has_what_that_one_has(
    store: Store, upload: Upload, create: Create
) -> None:
    files = {"m.gguf": upload(CHAT_MODEL)}
    create("plain", files=files)
    create("known", files=files, detect_template=detect)

    create("of-plain", parent="plain", detect_template=detect)
    create("of-known", parent="known", template="T")
    create("of-both", parent="known", system="Hi", detect_template=detect)

    assert found(store, "of-plain").template is None
    assert found(store, "of-known").template == "T"
    assert found(store, "of-both").template == KNOWN.source
    assert found(store, "of-both").parameters == {"stop": ["[", "]"]}


VISION = key("llama.vision.block_count", U32, 1)
UNKNOWN = {
    "no template": [gguf_bytes.model()],
    "unknown": [gguf_bytes.model("llama", key("tokenizer.chat_template", STRING, "other"))],
    "projector": [CHAT_MODEL, gguf_bytes.projector()],
    "eyes of its own": [
        gguf_bytes.model("llama", key("tokenizer.chat_template", STRING, JINJA), VISION)
    ],
}


@pytest.mark.parametrize("files", UNKNOWN.values(), ids=UNKNOWN)
def test_other_models_are_left_as_they_are(
    store: Store, upload: Upload, create: Create, files: list[bytes]
) -> None:
    """A model that sees keeps its own template, which tells it where the images are."""
    named = {f"{n}.gguf": upload(data) for n, data in enumerate(files)}

    steps = create("m", files=named, detect_template=detect)

    model = found(store, "m")
    assert (model.template, model.parameters) == (None, {})
    assert not any("autodetected" in step for step in steps)


def test_the_texts_of_the_special_tokens_are_told(store: Store, upload: Upload) -> None:
    seen: list[ChatTemplate] = []
    model = gguf_bytes.model(
        "llama",
        array("tokenizer.ggml.tokens", STRING, ["<unk>", "<s>", "</s>"]),
        key("tokenizer.ggml.bos_token_id", U32, 1),
        key("tokenizer.ggml.eos_token_id", U32, 2),
        key("tokenizer.chat_template", STRING, JINJA),
    )
    spec = CreateSpec(
        name=ModelName.parse("m"),
        files={"m.gguf": upload(model)},
        check_template=lambda _: None,
        detect_template=seen.append,
    )

    list(store.create(spec))

    assert seen == [ChatTemplate(JINJA, "<s>", "</s>", None)]
