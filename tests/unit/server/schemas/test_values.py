"""Values with rules of their own are read, and refused in the words that clients show."""

import base64
import math

import pytest
from pydantic import ValidationError

from server.native.schemas import GenerateRequest

PNG = b"\x89PNG\r\n\x1a\n" + bytes(30)
ENCODED = base64.b64encode(PNG).decode()
LEVELS = '"high", "medium", "low", "max", true, or false'
LINES = "\r\n".join(ENCODED[at : at + 20] for at in range(0, len(ENCODED), 20))


def request(**fields: object) -> GenerateRequest:
    return GenerateRequest.model_validate(fields)


def refusal(**fields: object) -> str:
    with pytest.raises(ValidationError) as caught:
        request(**fields)
    (error,) = caught.value.errors()
    return error["msg"]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None), (0, 0), ("0", 0), (0.5, 0.5), ("1h30m", 5400), (-1, math.inf),
        ("-1s", math.inf),
    ],
    ids=repr,
)  # fmt: skip
def test_keep_alive_is_seconds_or_for_ever_or_not_given(
    value: object, seconds: float | None
) -> None:
    assert request(keep_alive=value).keep_alive == seconds


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("", 'time: invalid duration ""'),
        ("5x", 'time: unknown unit "x" in duration "5x"'),
        (True, "Unsupported type: 'bool'"),
        ([], "Unsupported type: '[]interface {}'"),
        ({}, "Unsupported type: 'map[string]interface {}'"),
    ],
)
def test_a_bad_keep_alive_is_told_in_the_words_of_the_reference(value: object, text: str) -> None:
    assert refusal(keep_alive=value) == text


@pytest.mark.parametrize("value", [None, True, False, "low", "medium", "high", "max"])
def test_think_is_a_switch_or_a_level(value: object) -> None:
    assert request(think=value).think is value


@pytest.mark.parametrize("value", ["", "High", "none", "true", 'a"b'])
def test_an_unknown_level_of_thinking_is_told_with_the_known_ones(value: str) -> None:
    shown = value.replace('"', '\\"')

    assert refusal(think=value) == f'invalid think value: "{shown}" (must be {LEVELS})'


@pytest.mark.parametrize("value", [0, 1, 0.5, [], {}], ids=repr)
def test_think_of_another_type_is_refused(value: object) -> None:
    assert refusal(think=value) == f"think must be a boolean or string ({LEVELS})"


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (ENCODED, PNG),
        (LINES, PNG),
        (f"data:image/png;base64,{ENCODED}", PNG),
        ("data:,", b""),
        ("", b""),
        (None, b""),
    ],
    ids=["plain", "in lines", "as on the web", "nothing on the web", "empty", "null"],
)
def test_an_image_arrives_as_its_bytes(value: object, data: bytes) -> None:
    assert request(images=[value]).images == [data]


@pytest.mark.parametrize(
    ("value", "at"),
    [("abcd!efg", 4), ("!", 0), ("ab c", 2), ("abcd-_==", 4), ("abc", 0), ("abcdefg", 4), ("é", 0)],
)
def test_what_is_no_base64_is_told_with_its_place(value: str, at: int) -> None:
    assert refusal(images=[value]) == f"illegal base64 data at input byte {at}"


@pytest.mark.parametrize("value", [5, True, [], {}], ids=repr)
def test_an_image_that_is_no_text_is_refused(value: object) -> None:
    assert refusal(images=[value]) == "an image must be a base64 string"


@pytest.mark.parametrize("value", [0, 20, None])
def test_alternatives_are_counted_up_to_twenty(value: int | None) -> None:
    assert request(top_logprobs=value).top_logprobs == (value or 0)


@pytest.mark.parametrize("value", [-1, 21, 10**30])
def test_more_alternatives_are_refused(value: int) -> None:
    assert refusal(top_logprobs=value) == "top_logprobs must be between 0 and 20"


@pytest.mark.parametrize("value", ["5", True, 2.5], ids=repr)
def test_a_number_of_alternatives_is_whole(value: object) -> None:
    assert refusal(top_logprobs=value)


def test_a_context_holds_token_ids_and_null_is_the_first() -> None:
    assert request(context=[1, None, 2**31 - 1, -(2**31)]).context == [1, 0, 2**31 - 1, -(2**31)]


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 1.5, "1", True], ids=repr)
def test_what_is_no_token_id_is_refused(value: object) -> None:
    assert refusal(context=[value])


def test_no_context_is_not_an_empty_one() -> None:
    """An empty one drops the messages that the model brings along."""
    assert request().context is None
    assert request(context=[]).context == []
