"""The official Python libraries send sounds to a running server, and have them written down."""

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from ollama import Client
from openai import BadRequestError, OpenAI

from runners.protocol.media import FULL_SCALE
from tests.support.live_server import LiveServer, live_server
from tests.support.sound_files import recorded
from tests.support.tiny_hearing import sound, write_frames
from tests.support.tiny_models import CHATML, write_llama

GREEDY = {"temperature": 0, "num_predict": 12}
ASKED: dict[str, Any] = {"model": "ear", "temperature": 0, "max_completion_tokens": 12}


def recording(seed: int = 0) -> bytes:
    """Return the file of a sound."""
    return recorded(np.frombuffer(sound(seed).samples, "<i2") / FULL_SCALE, kind="flac")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with a model that hears and one that does not."""
    directory = tmp_path_factory.mktemp("sounds")
    gguf = write_llama(directory / "tiny.gguf", n_ctx=4096, chat_template=CHATML)
    with live_server(directory) as running:
        running.create("ear", gguf, write_frames(directory / "mmproj.gguf"))
        running.create("deaf", gguf)
        yield running


@pytest.fixture(scope="module")
def openai(server: LiveServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", timeout=60, max_retries=0) as client:
        yield client


def heard(openai: OpenAI, *files: bytes) -> str | None:
    """Return what is said of some recordings."""
    parts: list[Any] = [
        {"type": "text", "text": "What is it?"},
        *(
            {
                "type": "input_audio",
                "input_audio": {"data": base64.b64encode(file).decode(), "format": "wav"},
            }
            for file in files
        ),
    ]
    answer = openai.chat.completions.create(messages=[{"role": "user", "content": parts}], **ASKED)
    return answer.choices[0].message.content


def test_a_model_that_hears_says_so(server: LiveServer) -> None:
    with Client(server.url, timeout=60) as client:
        assert "audio" in (client.show("ear").capabilities or [])
        assert client.show("deaf").capabilities == ["completion"]


def test_a_chat_depends_on_the_sound_that_is_sent_with_it(server: LiveServer) -> None:
    with Client(server.url, timeout=60) as client:
        answers = [
            client.chat(
                "ear",
                [{"role": "user", "content": "What is it?", "images": files}],
                options=GREEDY,
            ).message.content
            for files in ([], [recording(1)], [recording(2)], [recording(1)])
        ]

    assert len(set(answers)) == 3
    assert answers[1] == answers[3]


def test_the_input_audio_of_a_chat_is_heard(openai: OpenAI) -> None:
    answers = {heard(openai), heard(openai, recording(1)), heard(openai, recording(2))}

    assert len(answers) == 3


def test_a_recording_is_written_down(openai: OpenAI) -> None:
    texts = [
        openai.audio.transcriptions.create(model="ear", file=("a.flac", recording(seed))).text
        for seed in (1, 2, 1)
    ]

    assert texts[0] == texts[2] != texts[1]


def test_a_recording_is_written_down_piece_by_piece(openai: OpenAI) -> None:
    file = ("a.flac", recording(1))
    whole = openai.audio.transcriptions.create(model="ear", file=file).text
    with openai.audio.transcriptions.create(model="ear", file=file, stream=True) as stream:
        *pieces, end = stream

    assert {piece.type for piece in pieces} == {"transcript.text.delta"}
    assert end.type == "transcript.text.done"
    assert "".join(piece.delta for piece in pieces).strip() == end.text == whole


def test_the_text_comes_alone_where_it_is_wanted_so(openai: OpenAI) -> None:
    file = ("a.flac", recording(1))
    whole = openai.audio.transcriptions.create(model="ear", file=file).text
    text = openai.audio.transcriptions.create(model="ear", file=file, response_format="text")

    assert text == whole


def test_what_cannot_be_written_down_is_a_bad_request(openai: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="does not support multimodal requests"):
        openai.audio.transcriptions.create(model="deaf", file=("a.flac", recording()))
    with pytest.raises(BadRequestError, match="the file is not a WAV, MP3, FLAC or Ogg file"):
        openai.audio.transcriptions.create(model="ear", file=("a.flac", b"nothing"))
