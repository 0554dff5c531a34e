"""Recordings are written down for OpenAI's clients, or refused in the form that they know."""

from typing import Any

import pytest

from server.openai.transcriptions import MAX_BYTES
from tests.api.conftest import TEXT_MODEL
from tests.support.application import Server
from tests.support.gguf_bytes import projector
from tests.support.sound_files import recording

pytestmark = pytest.mark.anyio
PATH = "/v1/audio/transcriptions"
FILE = ("speech.wav", recording(0.5), "audio/wav")
TURNS = "{{ range .Messages }}<{{ .Role }}> {{ .Content }} {{ end }}"
SAID = "Write down this recording."


@pytest.fixture
async def hearing(server: Server) -> Server:
    """A server with the model `ear`, which says what it is sent."""
    files = {"m.gguf": TEXT_MODEL, "mmproj.gguf": projector()}
    digests = {name: await server.upload(content) for name, content in files.items()}
    made = await server.post(
        "/api/create", model="ear", files=digests, template=TURNS, stream=False
    )
    assert made.json() == {"status": "success"}
    return server


async def refused(server: Server, status: int = 400, **sent: Any) -> str:
    """Return the sentence of a refusal."""
    answer = await server.http.post(PATH, **sent)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return str(error["message"])


async def test_a_recording_is_written_down(hearing: Server) -> None:
    """The model is told its task, then gets the sound."""
    fields = {"model": "ear", "language": "de", "prompt": "Names: Öztürk"}
    answer = await hearing.http.post(PATH, data=fields, files={"file": FILE})

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    text = answer.json()["text"]
    assert text.startswith("8000samples <system> ")
    assert text.endswith(f"The audio is in de. Context: Names: Öztürk <user> [img-0]{SAID}")


async def test_the_text_may_come_alone(hearing: Server) -> None:
    fields = {"model": "ear", "response_format": "text"}
    answer = await hearing.http.post(PATH, data=fields, files={"file": FILE})

    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text.startswith("8000samples")
    assert answer.text.endswith(SAID)


async def test_what_is_not_known_here_is_passed_over(hearing: Server) -> None:
    fields = {
        "model": "ear",
        "response_format": "verbose_json",
        "temperature": "0.5",
        "timestamp_granularities[]": ["word", "segment"],
    }
    answer = await hearing.http.post(PATH, data=fields, files={"file": FILE})

    assert set(answer.json()) == {"text"}


async def test_a_form_that_lacks_something_says_what(shared: Server) -> None:
    file, model = {"file": FILE}, {"model": "base"}

    assert await refused(shared, files=file) == "model is required"
    assert (await refused(shared, data=model, files={"other": FILE})).startswith("file is required")
    assert await refused(shared, data=model, files={"file": ("a", b"")}) == "audio file is empty"
    assert await refused(shared, data=model, files={"file": ("a", b"RIFF")}) == (
        "the file is not a WAV, MP3, FLAC or Ogg file, or it is damaged"
    )


async def test_what_is_no_form_is_named_so(shared: Server) -> None:
    expected = "failed to parse multipart form: "
    boundless = {"content-type": "multipart/form-data"}
    bounded = {"content-type": "multipart/form-data; boundary=x"}

    assert (await refused(shared, json={})).startswith(expected)
    assert (await refused(shared, content=b"")).startswith(expected)
    assert (await refused(shared, content=b"--x", headers=boundless)).startswith(expected)
    assert (await refused(shared, content=b"nothing", headers=bounded)).startswith(expected)
    two = [("file", FILE), ("file", FILE)]
    assert (await refused(shared, files=two)).startswith(expected)


async def test_times_of_words_are_not_promised(shared: Server) -> None:
    fields = {"model": "base", "response_format": "srt"}

    assert (await refused(shared, data=fields, files={"file": FILE})).startswith(
        'response_format must be json, verbose_json or text, not "srt"'
    )


async def test_a_form_that_is_too_large_is_not_read_to_its_end(shared: Server) -> None:
    file = ("speech.wav", recording() + bytes(MAX_BYTES), "audio/wav")

    text = await refused(shared, 413, data={"model": "base"}, files={"file": file})

    assert text == f"the request body is larger than the {MAX_BYTES} bytes allowed here"


async def test_a_recording_that_cannot_be_used_is_refused(hearing: Server) -> None:
    file = ("speech.wav", recording(0.01), "audio/wav")

    assert await refused(hearing, data={"model": "ear"}, files={"file": file}) == (
        "audio 1 is shorter than 0.1 seconds"
    )


async def test_a_model_that_cannot_hear_or_is_not_here_is_told(shared: Server) -> None:
    file = {"file": FILE}

    assert "does not support multimodal requests" in await refused(
        shared, data={"model": "base"}, files=file
    )
    assert "not found" in await refused(shared, 404, data={"model": "nobody"}, files=file)
