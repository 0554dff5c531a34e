"""A model is described by what it is, in the words clients know, or said not to be there."""

import json
from typing import Any

import pytest

from model_store.errors import WeightsDamaged
from runners.host.model_request import SchedulerConfig
from runners.host.scheduler import Scheduler
from server.errors import BadRequest, Forbidden, NotFound
from server.library.description import Variation
from server.library.library import Library
from tests.support import gguf_bytes
from tests.support.clock import FakeClock
from tests.support.fake_machine import FakeMachine
from tests.support.gguf_bytes import STRING, array, key
from tests.unit.server.library.conftest import Installed

JINJA = "{% for m in messages %}{{ m.content }}{% endfor %}"
WITH_VOCABULARY = gguf_bytes.model(
    "llama",
    key("general.basename", STRING, "Base"),
    array("tokenizer.ggml.tokens", STRING, ["a", "b"]),
)
WITH_JINJA = gguf_bytes.model("llama", key("tokenizer.chat_template", STRING, JINJA))


def library(installed: Installed, *, go_template: bool | None = None) -> Library:
    scheduler = Scheduler(SchedulerConfig(), machine=FakeMachine(), clock=FakeClock())
    return Library(installed.store, scheduler, go_template=go_template)


def show(
    installed: Installed,
    model: str = "m",
    *,
    user_agent: str = "",
    go_template: bool | None = None,
    **fields: Any,
) -> dict[str, Any]:
    shown = json.loads(
        library(installed, go_template=go_template).show(model, Variation(**fields), user_agent)
    )
    assert isinstance(shown, dict)
    return shown


def test_a_bare_model_is_described_by_what_is_never_left_out(installed: Installed) -> None:
    model = installed.create("m")

    shown = show(installed)

    assert list(shown) == [
        "modelfile", "template", "details", "model_info", "tensors", "capabilities", "modified_at",
        "renderer", "parser",
    ]  # fmt: skip
    assert f"FROM {model.weights}" in shown["modelfile"]
    assert shown["template"] == "{{ .Prompt }}"
    assert shown["details"]["family"] == "llama"
    assert shown["model_info"] == {
        "general.architecture": "llama",
        "general.parameter_count": 64,
        "llama.block_count": 1,
        "llama.context_length": 4096,
        "llama.embedding_length": 8,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": None,
    }
    assert shown["tensors"] == [{"name": "token_embd.weight", "type": "F32", "shape": [8, 8]}]
    assert shown["capabilities"] == ["completion"]


def test_a_full_model_is_described_by_all_it_brings_along(installed: Installed) -> None:
    installed.create(
        "m",
        template="{{ .System }} {{ .Prompt }}",
        system="Be brief.",
        licenses=["MIT", "and more"],
        parameters={"stop": ["<|x|>"], "num_ctx": 256},
        messages=[{"role": "user", "content": "hi"}],
        requires="0.14.0",
    )

    shown = show(installed)

    assert shown["license"] == "MIT\nand more"
    assert shown["parameters"].split() == ["num_ctx", "256", "stop", '"<|x|>"']
    assert (shown["system"], shown["requires"]) == ("Be brief.", "0.14.0")
    assert shown["template"] == "{{ .System }} {{ .Prompt }}"
    assert shown["messages"] == [{"role": "user", "content": "hi"}]
    for line in ("SYSTEM Be brief.", "PARAMETER num_ctx 256", "MESSAGE user hi"):
        assert line in shown["modelfile"]


@pytest.mark.parametrize(
    ("template", "go_template", "shown"),
    [
        ("", None, JINJA),
        ("{{ .Prompt }}!", None, "{{ .Prompt }}!"),
        ("{{ .Prompt }}!", True, "{{ .Prompt }}!"),
        ("{{ .Prompt }}!", False, JINJA),
    ],
    ids=["only its own", "a layer wins", "the layer is wanted", "its own is wanted"],
)
def test_the_template_that_is_in_use_is_shown(
    template: str, go_template: bool | None, shown: str, installed: Installed
) -> None:
    installed.create("m", WITH_JINJA, template=template)

    assert show(installed, go_template=go_template)["template"] == shown


def test_a_request_can_show_another_system_text_and_other_options(installed: Installed) -> None:
    installed.create("m", system="old", parameters={"top_k": 1})

    shown = show(installed, system="new", options={"top_k": 2, "odd": "x"})

    assert shown["system"] == "new"
    for line in ("SYSTEM new", "PARAMETER top_k 2", "PARAMETER odd x"):
        assert line in shown["modelfile"]
    assert shown["parameters"].split() == ["top_k", "1"]


@pytest.mark.parametrize(("verbose", "tokens"), [(False, None), (True, ["a", "b"])])
def test_lists_are_shown_when_they_are_asked_for(
    verbose: bool, tokens: object, installed: Installed
) -> None:
    installed.create("m", WITH_VOCABULARY)

    assert show(installed, verbose=verbose)["model_info"]["tokenizer.ggml.tokens"] == tokens


def test_a_projector_is_described_beside_the_model(installed: Installed) -> None:
    installed.create("m", gguf_bytes.model(), gguf_bytes.projector())

    shown = show(installed)

    assert shown["projector_info"]["general.architecture"] == "clip"
    assert "vision" in shown["capabilities"]


@pytest.mark.parametrize("text", ["m", " M:LATEST ", "m:local"])
def test_a_model_is_found_by_every_way_to_write_its_name(text: str, installed: Installed) -> None:
    installed.create("m")

    shown = json.loads(library(installed).show(text, Variation()))

    assert shown["details"]["format"] == "gguf"


def test_copilot_sees_the_model_under_the_name_it_asked_for(installed: Installed) -> None:
    installed.create("m", WITH_VOCABULARY)

    assert show(installed)["model_info"]["general.basename"] == "Base"
    asked = show(installed, "M", user_agent="GitHubCopilotChat/0.26")
    assert asked["model_info"]["general.basename"] == "M"


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("", BadRequest, "model is required"),
        ("  ", BadRequest, "model is required"),
        ("a b", BadRequest, "invalid model name"),
        ("../../etc/passwd", BadRequest, "invalid model name"),
        ("Nope", NotFound, "model 'Nope:latest' not found"),
        ("x:cloud", Forbidden, "ollama cloud is disabled: remote model is unavailable"),
    ],
)
def test_what_cannot_be_shown_is_told_in_the_words_of_the_reference(
    name: str, kind: type[Exception], text: str, installed: Installed
) -> None:
    with pytest.raises(kind) as caught:
        library(installed).show(name, Variation())

    assert str(caught.value) == text


def test_a_model_whose_file_is_gone_is_not_there(installed: Installed) -> None:
    installed.weights(installed.create("m")).unlink()

    with pytest.raises(NotFound, match=r"^model 'm:latest' not found$"):
        show(installed)


def test_a_damaged_model_is_told_as_such_without_its_path(installed: Installed) -> None:
    installed.damage(installed.create("m"))

    with pytest.raises(WeightsDamaged) as caught:
        show(installed)
    assert "/" not in str(caught.value)


@pytest.mark.anyio
async def test_tags_and_ps_are_the_two_listings(installed: Installed) -> None:
    installed.create("m")

    assert [m["name"] for m in json.loads(library(installed).tags())["models"]] == ["m:latest"]
    assert await library(installed).running() == b'{"models":[]}'
