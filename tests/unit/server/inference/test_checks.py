"""A model that cannot do what is asked is named before it is loaded."""

import pytest

from model_store.config import ModelConfig
from model_store.model import Model
from model_store.names import ModelName
from server.errors import Unsupported
from server.inference.checks import effective_think, require
from server.prompt.messages import Think

ALL = ("completion", "tools", "insert", "thinking")
MODEL = Model(
    name=ModelName.parse("t"), digest="0" * 64, size=0, modified_at=0, config=ModelConfig(),
    layers=(), weights=None, adapters=(), projectors=(), drafts=(), template=None, system="",
    parameters={}, messages=(), license_files=(), parent_model="",
)  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "think"),
    [(None, True), (True, True), (False, False), ("low", "low"), ("max", "max")],
)
def test_a_model_that_can_think_does_unless_told_otherwise(
    asked: Think | None, think: Think
) -> None:
    assert effective_think(asked, ALL, "T") == think


@pytest.mark.parametrize("asked", [None, False])
def test_thinking_that_is_not_wanted_fails_on_no_model(asked: Think | None) -> None:
    """Clients send `false` to every model."""
    assert effective_think(asked, ("completion",), "T") is asked


@pytest.mark.parametrize("asked", [True, "low"])
def test_thinking_of_a_model_that_cannot_is_refused(asked: Think) -> None:
    with pytest.raises(Unsupported, match=r'^"T" does not support thinking$'):
        effective_think(asked, ("completion",), "T")


def test_a_model_that_can_do_all_may_be_asked_for_all() -> None:
    require(ALL, MODEL, "T", "chat", tools=True, insert=True)


def test_what_is_not_asked_for_need_not_be_there() -> None:
    require(("completion",), MODEL, "T", "chat")


@pytest.mark.parametrize("action", ["chat", "generate"])
def test_a_model_that_only_embeds_is_named_as_it_was_asked_for(action: str) -> None:
    """This comes before whatever else it cannot do."""
    with pytest.raises(Unsupported, match=rf'^"T" does not support {action}$'):
        require(("embedding", "tools"), MODEL, "T", action, insert=True)


@pytest.mark.parametrize(
    ("wanted", "missing"),
    [
        ({"tools": True}, "tools"),
        ({"insert": True}, "insert"),
        ({"tools": True, "insert": True}, "tools\ninsert"),
    ],
    ids=["tools", "insert", "both"],
)
def test_what_is_missing_is_told_with_the_full_name(wanted: dict[str, bool], missing: str) -> None:
    with pytest.raises(Unsupported) as caught:
        require(("completion",), MODEL, "T", "chat", **wanted)

    assert str(caught.value) == f"registry.ollama.ai/library/t:latest does not support {missing}"
