"""Texts for vectors come in every form that clients send them."""

import pytest
from pydantic import ValidationError

from server.http.json_encoding import encode
from server.native.schemas import EmbeddingsRequest, EmbedRequest
from server.native.wire import EmbeddingsResponse, EmbedResponse


@pytest.mark.parametrize(
    ("fields", "texts"),
    [
        ({"input": "a"}, ["a"]), ({"input": ["a", "b"]}, ["a", "b"]), ({"input": [""]}, [""]),
        ({"input": ""}, []), ({"input": []}, []), ({"input": None}, []), ({}, []),
        ({"INPUT": " "}, [" "]),
    ],
    ids=repr,
)  # fmt: skip
def test_one_text_several_or_none(fields: dict[str, object], texts: list[str]) -> None:
    assert EmbedRequest.model_validate(fields).input == texts


@pytest.mark.parametrize(
    "value", [5, True, {}, [5], [["a"]], ["a", None], [1, 2, 3], {"text": "a"}], ids=repr
)
def test_what_is_no_text_is_refused_in_the_words_of_the_reference(value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        EmbedRequest.model_validate({"input": value})

    (error,) = caught.value.errors()
    assert error["msg"] == "invalid input type"


def test_long_texts_are_cut_and_all_dimensions_kept_unless_told_otherwise() -> None:
    request = EmbedRequest.model_validate({})

    assert (request.truncate, request.dimensions, request.keep_alive) == (True, 0, None)


def test_the_older_form_has_a_prompt_and_no_input() -> None:
    request = EmbeddingsRequest.model_validate({"prompt": "a", "input": ["b"], "dimensions": "x"})

    assert request.prompt == "a"
    with pytest.raises(ValidationError):
        EmbeddingsRequest.model_validate({"prompt": ["a"]})


def test_an_answer_without_texts_has_a_list_and_no_counters() -> None:
    assert encode(EmbedResponse(model="m", embeddings=[])) == b'{"model":"m","embeddings":[]}'
    assert encode(EmbeddingsResponse([])) == b'{"embedding":[]}'
