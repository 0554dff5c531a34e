"""A model that is not there is told in the words that the clients of each endpoint look for."""

from pathlib import Path

import pytest

from model_store.store import Store
from server.errors import BadRequest, Forbidden, NotFound
from server.inference.models import find_model


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    store.prepare()
    return store


@pytest.mark.parametrize(
    ("name", "shown"),
    [("nope", "'nope'"), (" Nope:1b ", "' Nope:1b '"), ("", "''"), ("  ", "'  '")],
)
def test_generate_and_chat_repeat_the_name_as_it_was_sent(
    name: str, shown: str, store: Store
) -> None:
    with pytest.raises(NotFound) as caught:
        find_model(store, name)

    assert str(caught.value) == f"model {shown} not found"


@pytest.mark.parametrize(
    ("name", "shown"), [("nope", '"nope"'), ("nope\u3000", '"nope\\u3000"'), ("a\t", '"a\\t"')]
)
def test_embeddings_say_what_to_do(name: str, shown: str, store: Store) -> None:
    with pytest.raises(NotFound) as caught:
        find_model(store, name, pull_hint=True)

    assert str(caught.value) == f"model {shown} not found, try pulling it first"


@pytest.mark.parametrize("name", ["", " \n"])
def test_a_name_that_is_required_is_asked_for(name: str, store: Store) -> None:
    with pytest.raises(BadRequest, match=r"^model is required$"):
        find_model(store, name, required=True)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a b", BadRequest), ("a\n", BadRequest), ("../x", BadRequest), ("x:cloud", Forbidden)],
)
def test_what_can_be_no_installed_model_is_not_looked_for(
    name: str, kind: type[Exception], store: Store
) -> None:
    with pytest.raises(kind):
        find_model(store, name)
