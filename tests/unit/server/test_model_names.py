"""Names in requests: blanks, `:local` and remote models are handled as clients expect."""

from collections.abc import Callable

import pytest

from model_store.errors import InvalidName
from model_store.names import ModelName
from server.errors import BadRequest, Forbidden
from server.model_names import model_name, stored_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("llama3", "llama3:latest"), (" llama3:8b\t", "llama3:8b"), ("a:local", "a:latest"),
        ("a:8b:LOCAL", "a:8b"), ("hf.co/u/r:q4", "hf.co/u/r:q4"), ("ns/a", "ns/a:latest"),
        ("my-cloud", "my-cloud:latest"), ("a:cloudy", "a:cloudy"),
    ],
)  # fmt: skip
def test_a_name_is_read_without_blanks_and_without_local(text: str, name: str) -> None:
    assert model_name(text).short == name


@pytest.mark.parametrize("text", ["a:cloud", "a:CLOUD", "a:8b-cloud", "a:8b:cloud", "ns/a:x-Cloud"])
def test_a_remote_model_is_refused(text: str) -> None:
    with pytest.raises(Forbidden, match="ollama cloud is disabled"):
        model_name(text)


@pytest.mark.parametrize("text", ["x:cloud:local", " x:local:cloud ", "x:local:local"])
@pytest.mark.parametrize("read", [model_name, stored_name])
def test_a_model_cannot_be_in_two_places(read: Callable[[str], ModelName], text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read(text)

    assert str(caught.value) == f'use either :local or :cloud, not both: "{text.strip()}"'


@pytest.mark.parametrize(
    "text", ["", ":", "a b", "../../etc/passwd", "a:b:c", "/", "a\x00", "-a", "a/", "é"]
)
def test_what_is_no_name_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        model_name(text)

    assert str(caught.value) == "invalid model name"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("x:7b:cloud", "x:7b-cloud"), ("x:cloud", "x:cloud"), ("x:local", "x:latest"),
        (" x:7b ", "x:7b"), ("ns/x:cloud", "ns/x:cloud"), ("h:80/n/x:cloud", "h:80/n/x:cloud"),
    ],
)  # fmt: skip
def test_an_installed_remote_model_can_be_named_to_delete_it(text: str, name: str) -> None:
    assert stored_name(text).short == name


def test_a_malformed_name_of_a_stored_model_is_refused() -> None:
    with pytest.raises(InvalidName):
        stored_name("../x")


@pytest.mark.parametrize("read", [model_name, stored_name])
def test_a_name_of_megabytes_is_refused_unread(read: Callable[[str], ModelName]) -> None:
    with pytest.raises((BadRequest, InvalidName)) as caught:
        read("a" * 1_000_000)

    assert len(str(caught.value)) < 2000
