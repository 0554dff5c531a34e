"""Sounds in requests reach the model beside images, or the request is refused in one sentence."""

import base64
from typing import Any

import numpy as np
import pytest

from tests.api.conftest import TEXT_MODEL
from tests.support.application import Server
from tests.support.gguf_bytes import projector
from tests.support.image_files import plain
from tests.support.sound_files import recorded, recording, tone

pytestmark = pytest.mark.anyio
UNABLE = "Multimodal data provided, but model does not support multimodal requests."


def sent(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture
async def hearing(server: Server) -> Server:
    """A server with the model `ear`, which says the sizes of what it is sent, then its prompt."""
    files = {"m.gguf": TEXT_MODEL, "mmproj.gguf": projector()}
    digests = {name: await server.upload(content) for name, content in files.items()}
    made = await server.post("/api/create", model="ear", files=digests, stream=False)
    assert made.json() == {"status": "success"}
    return server


async def chat(server: Server, *files: bytes, model: str = "ear") -> tuple[int, str]:
    """Return the status and the text of the answer to a question about `files`."""
    messages = [{"role": "user", "content": "Q", "images": [sent(file) for file in files]}]
    answer = await server.post("/api/chat", model=model, messages=messages, stream=False)
    body = answer.json()
    text = body["message"]["content"] if answer.status_code == 200 else body["error"]
    return answer.status_code, text


async def test_sounds_are_sent_among_the_images_of_a_chat(hearing: Server) -> None:
    assert await chat(hearing, recording(0.5), plain(2, 3), recording(0.25)) == (
        200,
        "8000samples 2x3 4000samples [img-0][img-1][img-2]Q ",
    )


async def test_a_sound_of_a_prompt_is_heard_at_the_rate_of_the_model(hearing: Server) -> None:
    file = recorded(tone(1, rate=44_100), rate=44_100, kind="mp3")
    answer = await hearing.post(
        "/api/generate", model="ear", prompt="Listen", images=[sent(file)], stream=False
    )

    samples, rest = answer.json()["response"].split(maxsplit=1)
    assert int(samples.removesuffix("samples")) == pytest.approx(16_000, abs=800)
    assert rest == "[img-0]Listen "


async def test_the_input_audio_of_a_chat_completion_is_heard(hearing: Server) -> None:
    parts: list[dict[str, Any]] = [
        {"type": "text", "text": "Q"},
        {"type": "input_audio", "input_audio": {"data": sent(recording(0.5)), "format": "wav"}},
    ]
    answer = await hearing.post(
        "/v1/chat/completions", model="ear", messages=[{"role": "user", "content": parts}]
    )

    assert answer.json()["choices"][0]["message"]["content"] == "8000samples [img-0]Q "


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (recording()[:30], "is not a WAV, MP3, FLAC or Ogg file, or is damaged"),
        (recording(0.01), "is shorter than 0.1 seconds"),
        (recorded(np.zeros(31 * 60 * 4000), rate=4000, kind="flac"), "is longer than 30 minutes"),
        (recorded(np.zeros((1600, 9))), "has 9 channels: at most 8 are allowed"),
    ],
    ids=["damaged", "short", "long", "channels"],
)
async def test_a_sound_that_cannot_be_used_is_named(
    hearing: Server, data: bytes, problem: str
) -> None:
    """The next request is served: no runner has seen the file."""
    assert await chat(hearing, recording(), data) == (400, f"audio 2 of message 1 {problem}")
    assert await chat(hearing, data) == (400, f"audio 1 {problem}")
    assert await chat(hearing) == (200, "Q ")
    assert len(hearing.runners) == 1


async def test_a_model_that_cannot_hear_refuses_sounds(server: Server) -> None:
    assert await chat(server, recording(), model="base") == (400, UNABLE)
