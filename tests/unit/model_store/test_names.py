"""Names that people type find the model they mean, and no name leaves its directory."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.errors import InvalidName
from model_store.layout import Layout
from model_store.names import ModelName, fold

FIRST = "abcXYZ019_"
MODELS = st.builds(
    lambda head, tail: (head + tail).rstrip("."),
    st.sampled_from(FIRST),
    st.text(FIRST + ".-", max_size=79),
)
NAMESPACES = st.builds(
    lambda head, tail: head + tail, st.sampled_from(FIRST), st.text(FIRST + "-", max_size=79)
)
PORTS = st.one_of(st.just(""), st.integers(1, 65535).map(":{}".format))
HOSTS = st.builds(
    lambda labels, port: ".".join(labels) + port,
    st.lists(NAMESPACES.map(lambda label: label[:60]), min_size=1, max_size=4),
    PORTS,
)
NAMES = st.builds(ModelName, HOSTS, NAMESPACES, MODELS, MODELS)


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("llama3", "registry.ollama.ai/library/llama3:latest"),
        ("me/foo:q4", "registry.ollama.ai/me/foo:q4"),
        ("hf.co/u/Repo-GGUF:Q4_K_M", "hf.co/u/Repo-GGUF:Q4_K_M"),
        ("localhost:5000/ns/m", "localhost:5000/ns/m:latest"),
        ("http://h:5000/ns/m", "h:5000/ns/m:latest"),
        ("h.example:65535/ns/m", "h.example:65535/ns/m:latest"),
        ("console:manifests", "registry.ollama.ai/library/console:manifests"),
        ("me/blob:v1.0-q4.k", "registry.ollama.ai/me/blob:v1.0-q4.k"),
    ],
)
def test_a_name_gets_the_parts_that_it_leaves_out(text: str, full: str) -> None:
    assert ModelName.parse(text).full == full


@pytest.mark.parametrize(
    "text",
    [
        "", "m:", "/m", "h//m", ":t", "h:5000/m", "http://h/m", "://h/n/m", "a/b/c/d", "..", "-m",
        "../../etc/passwd", "a/../b", ".", "m:..", "m:../x", "a b", "m\n", "m\0", "é", "m/n\n/x",
        "m@sha256:" + "0" * 64, "m:" + "x" * 81, "h" * 351 + "/n/m", "n.n/m", "m%2f..",
        "x:y\n", "m.", "m..", "m:t.", "h./n/m", "h../n/m", "h..x/n/m", "h" * 256 + "/n/m",
        "a:b:c/d/e", "h:1:2/n/m", "h:/n/m", "h:x/n/m", "h:0/n/m", "h:65536/n/m", "h:123456/n/m",
        "x/manifests", "manifests/x", "X/Blobs", "blobs", "h/blobs/x", "con", "CON", "nul.txt",
        "com1/x", "x:aux", "lpt9.h/n/m", "prn:5000/n/m",
    ],
)  # fmt: skip
def test_a_malformed_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidName):
        ModelName.parse(text)


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("LLAMA3", "LLAMA3:latest"),
        ("REGISTRY.ollama.ai/Library/m:t", "m:t"),
        ("me/foo", "me/foo:latest"),
        ("hf.co/library/m", "hf.co/library/m:latest"),
    ],
)
def test_the_short_form_drops_defaults_only(text: str, short: str) -> None:
    assert ModelName.parse(text).short == short


@given(NAMES)
def test_a_printed_name_reads_back_as_itself(name: ModelName) -> None:
    assert ModelName.parse(name.full) == name


@given(NAMES.filter(lambda name: "://" not in name.full))
def test_a_short_name_reads_back_as_the_same_model(name: ModelName) -> None:
    assert ModelName.parse(name.short).folded == name.folded


@given(st.text(max_size=60))
def test_whatever_is_typed_stays_below_the_directory_of_manifests(text: str) -> None:
    layout = Layout(Path("/store"))
    try:
        path = layout.manifest(ModelName.parse(text))
    except InvalidName:
        return
    assert path.parents[3] == layout.manifests
    assert ".." not in path.parts


def installed(*names: str) -> list[ModelName]:
    return [ModelName.parse(name) for name in names]


def test_a_new_name_takes_the_spelling_of_installed_parts() -> None:
    assert fold(ModelName.parse("Foo:Latest"), installed("bar:latest")).short == "Foo:latest"


def test_an_installed_model_is_found_in_any_case() -> None:
    assert fold(ModelName.parse("CHAT"), installed("a:x", "Chat")).short == "Chat:latest"


def test_the_exact_spelling_wins_over_another_one() -> None:
    """Otherwise a model beside one of another case could never be used or deleted."""
    names = installed("Foo", "foo")

    assert [fold(name, names) for name in names] == names


def test_of_several_spellings_the_first_in_order_is_taken() -> None:
    assert fold(ModelName.parse("FOO"), installed("foo", "Foo")).short == "Foo:latest"


def test_a_model_is_found_although_its_parts_are_spelled_otherwise_elsewhere() -> None:
    names = installed("Foo:latest", "foo:Latest")

    assert fold(ModelName.parse("foo:latest"), names) in names
