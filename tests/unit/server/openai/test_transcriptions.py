"""A form becomes a conversation with a model that hears, and its answer becomes a text."""

import pytest

from server.http.forms import Form
from server.inference.conversation import Delta, Events, Finish
from server.openai.transcriptions import (
    TextDelta,
    TextDone,
    Transcription,
    Transcriptions,
    is_streamed,
    transcription_of,
)
from tests.support.sound_files import recording

pytestmark = pytest.mark.anyio
SAID = [Delta(thinking="Hm."), Delta(" \n"), Delta(" One"), Delta(" two. \n"), Finish()]


def form(**texts: str) -> Form:
    return Form({"model": "ear", **texts}, {"file": recording()})


async def told() -> Events:
    for event in SAID:
        yield event


def test_a_recording_is_written_down_without_chance_or_thought() -> None:
    asked = transcription_of(form(temperature="1"))

    assert (asked.model, asked.options, asked.think) == ("ear", {"temperature": 0.0}, False)
    assert [message.role for message in asked.messages] == ["system", "user"]
    assert asked.messages[1].images == (recording(),)


def test_a_text_has_no_thoughts_and_no_blanks_around_it() -> None:
    assert Transcriptions(form()).whole(SAID) == Transcription("One two.")


async def test_a_stream_begins_with_a_word_and_ends_with_the_text() -> None:
    found = [reply async for reply in Transcriptions(form()).streamed(told())]

    assert found == [TextDelta("One"), TextDelta(" two. \n"), TextDone("One two.")]


@pytest.mark.parametrize(
    ("value", "streams"),
    [("true", True), ("True", True), ("1", True), ("false", False), ("", False)],
)
def test_a_stream_is_asked_for_in_words(value: str, streams: bool) -> None:
    assert is_streamed(form(stream=value)) is streams
