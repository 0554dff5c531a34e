"""Requests are read by rules that hold for every field of every endpoint."""

import pytest
from pydantic import Field, ValidationError

from server.schemas.base import ApiModel, FreeMap, Integer, LongText, Text, is_own_text, refuse
from server.schemas.limits import MAX_TEXT


class Inner(ApiModel):
    """An object within the request."""

    name: str = ""


class Sample(ApiModel):
    """A request with a field of each kind."""

    word: str = "default"
    number: Integer = 7
    flag: bool = True
    list_of: list[Inner] = Field(default_factory=list)
    map_of: dict[str, Text] = Field(default_factory=dict)
    free: FreeMap = Field(default_factory=dict)
    from_: str = Field(default="", alias="from")


@pytest.mark.parametrize("key", ["word", "WORD", "Word", "wORD"])
def test_a_key_matches_in_any_case(key: str) -> None:
    assert Sample.model_validate({key: "x"}).word == "x"


def test_a_key_inside_matches_in_any_case_too() -> None:
    assert Sample.model_validate({"List_Of": [{"NAME": "x"}]}).list_of == [Inner(name="x")]


def test_the_keys_of_the_clients_own_keep_their_case() -> None:
    """`Temperature` is no option."""
    given = {"Temperature": 1, "temperature": 2, "nested": {"A": None}}

    assert Sample.model_validate({"FREE": given}).free == given
    assert Sample.model_validate({"Map_Of": {"A": "x", "a": "y"}}).map_of == {"A": "x", "a": "y"}


def test_of_two_spellings_of_a_key_the_last_wins() -> None:
    assert Sample.model_validate({"word": "a", "WORD": "b"}).word == "b"
    assert Sample.model_validate({"word": "a", "WORD": None}).word == "a"


def test_null_counts_as_absent() -> None:
    everything = dict.fromkeys(["word", "number", "flag", "list_of", "map_of", "free", "from"])

    assert Sample.model_validate(everything) == Sample()


def test_null_in_a_list_or_map_is_the_empty_value() -> None:
    request = Sample.model_validate({"list_of": [None], "map_of": {"a": None}})

    assert (request.list_of, request.map_of) == ([Inner()], {"a": ""})


def test_unknown_keys_are_ignored_at_every_level() -> None:
    odd = {"unknown": [1], "from_": "x", "list_of": [{"unknown": {}}]}

    assert Sample.model_validate(odd) == Sample(list_of=[Inner()])


def test_a_field_with_a_name_of_the_wire_is_read_by_it() -> None:
    assert Sample.model_validate({"FROM": "x"}).from_ == "x"


@pytest.mark.parametrize(
    "given",
    [
        {"word": 5}, {"word": True}, {"word": ["a"]}, {"number": "5"}, {"number": 5.0},
        {"number": True}, {"number": 2**63}, {"number": -(2**63) - 1}, {"flag": 1},
        {"flag": "true"}, {"list_of": {}}, {"list_of": ["a"]}, {"map_of": []},
        {"map_of": {"a": 1}}, {"free": []}, {"free": "a"},
    ],
    ids=str,
)  # fmt: skip
def test_no_value_is_turned_into_another_type(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Sample.model_validate(given)


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 0])
def test_a_whole_number_of_64_bits_is_taken(number: int) -> None:
    assert Sample.model_validate({"number": number}).number == number


def test_a_sentence_of_our_own_is_passed_on_as_it_is() -> None:
    error = refuse("say {this} as it is")

    assert error.message() == "say {this} as it is"
    assert is_own_text(error.type)
    assert not is_own_text("string_type")


def test_a_string_is_bounded_unless_its_field_is_for_long_texts() -> None:
    class Texts(ApiModel):
        """A request with both."""

        name: str = ""
        items: list[str] = Field(default_factory=list)
        content: LongText = ""

    long = "a" * (MAX_TEXT + 1)

    assert Texts.model_validate({"content": long}).content == long
    for field in ({"name": long}, {"items": [long]}):
        with pytest.raises(ValidationError, match=f"at most {MAX_TEXT} characters"):
            Texts.model_validate(field)
