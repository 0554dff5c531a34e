"""Requests about models take the older spellings, and what is not done is at least read."""

import pytest
from pydantic import ValidationError

from server.native.model_schemas import CopyRequest, CreateRequest, DeleteRequest, ShowRequest


@pytest.mark.parametrize("kind", [ShowRequest, DeleteRequest, CreateRequest])
@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"model": "a"}, "a"), ({"name": "b"}, "b"), ({"model": "a", "name": "b"}, "a"),
        ({"model": "", "name": "b"}, "b"), ({"Model": None, "Name": "b"}, "b"), ({}, ""),
        ({"model": " ", "name": "b"}, " "),
    ],
    ids=repr,
)  # fmt: skip
def test_a_model_is_named_by_either_spelling_and_the_new_one_wins(
    kind: type[ShowRequest | DeleteRequest | CreateRequest], fields: dict[str, object], wanted: str
) -> None:
    assert kind.model_validate(fields).requested_model == wanted


def test_a_copy_has_two_ends() -> None:
    request = CopyRequest.model_validate({"source": "a", "destination": "b", "name": "c"})

    assert (request.source, request.destination) == ("a", "b")


@pytest.mark.parametrize(
    ("value", "texts"),
    [("MIT", ["MIT"]), (["a", "b"], ["a", "b"]), ("", []), (["", "a"], ["a"]), (None, [])],
    ids=repr,
)
def test_licences_are_one_text_or_several(value: object, texts: list[str]) -> None:
    assert CreateRequest.model_validate({"license": value}).license == texts


@pytest.mark.parametrize("value", [5, {}, ["a", 5], [None]], ids=repr)
def test_what_is_no_licence_is_refused_in_a_sentence(value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        CreateRequest.model_validate({"license": value})

    (error,) = caught.value.errors()
    assert error["msg"] == 'field "license" must be a string or a list of strings'


def test_a_model_is_made_of_files_whose_names_keep_their_case() -> None:
    request = CreateRequest.model_validate(
        {"FROM": "base", "files": {"A.gguf": "sha256:1"}, "parameters": {"Temperature": 1}}
    )

    assert request.from_ == "base"
    assert request.files == {"A.gguf": "sha256:1"}
    assert request.parameters == {"Temperature": 1}
    assert request.stream


def test_what_show_is_asked_to_show_instead_is_kept_as_sent() -> None:
    request = ShowRequest.model_validate({"system": "s", "options": {"Odd": [1], "x": None}})

    assert (request.system, request.options) == ("s", {"Odd": [1], "x": None})
