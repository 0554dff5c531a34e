"""Images in requests reach the model in order, or the request is refused in one sentence."""

import base64
from typing import Any

import pytest

from tests.api.conftest import TEXT_MODEL
from tests.support.application import Server
from tests.support.gguf_bytes import projector
from tests.support.image_files import bomb, plain

pytestmark = pytest.mark.anyio


def sent(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture
async def seeing(server: Server) -> Server:
    """A server with the model `eye`, which says the sizes of what it is shown, then its prompt."""
    files = {"m.gguf": TEXT_MODEL, "mmproj.gguf": projector()}
    digests = {name: await server.upload(content) for name, content in files.items()}
    made = await server.post("/api/create", model="eye", files=digests, stream=False)
    assert made.json() == {"status": "success"}
    return server


async def said(server: Server, *messages: dict[str, Any], **fields: Any) -> str:
    """Return what `eye` answers to a conversation."""
    answer = await server.post("/api/chat", model="eye", messages=messages, stream=False, **fields)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["message"]["content"])


async def refused(server: Server, path: str, **fields: Any) -> str:
    """Return the sentence of a refusal."""
    answer = await server.post(path, **{"model": "eye", "stream": False, **fields})
    assert answer.status_code == 400
    return str(answer.json()["error"])


def turn(content: str, *images: bytes, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": content, "images": [sent(image) for image in images]}


async def test_images_of_a_chat_are_shown_where_they_were_sent(seeing: Server) -> None:
    text = await said(
        seeing,
        turn("first", plain(1, 1), plain(2, 1)),
        turn("seen", role="assistant"),
        turn("here [img] now", plain(3, 1)),
    )

    assert text.split()[:3] == ["1x1", "2x1", "3x1"]
    assert text.endswith("here [img-2] now ")


async def test_an_image_of_a_prompt_is_shown(seeing: Server) -> None:
    answer = await seeing.post(
        "/api/generate", model="eye", prompt="Look", images=[sent(plain(5, 7))], stream=False
    )

    assert answer.json()["response"] == "5x7 [img-0]Look "


async def test_a_raw_prompt_says_itself_where_its_image_belongs(seeing: Server) -> None:
    answer = await seeing.post(
        "/api/generate",
        model="eye",
        prompt="Look [img-0]",
        raw=True,
        images=[sent(plain(5, 7))],
        stream=False,
    )

    assert answer.json()["response"] == "5x7 Look [img-0] "


async def test_an_image_as_it_stands_in_a_web_page_is_taken(seeing: Server) -> None:
    uri = f"data:image/png;base64,{sent(plain(2, 3))}"

    assert await said(seeing, {"role": "user", "content": "Q", "images": [uri]}) == "2x3 [img-0]Q "


async def test_a_conversation_that_is_too_long_loses_its_oldest_images(seeing: Server) -> None:
    """Each counts as 768 tokens; those that stay are numbered anew, and only they are read."""
    old, new = turn("old", b"not even read", plain(1, 1)), turn("new", plain(2, 1))
    text = await said(seeing, old, turn("a", role="assistant"), new, options={"num_ctx": 2048})

    assert text == "2x1 a[img-0]new "


async def test_the_rendered_prompt_tells_how_many_images_it_has(seeing: Server) -> None:
    asked = [turn("Q", plain(), b"never read")]
    answer = await seeing.post(
        "/api/chat", model="eye", messages=asked, _debug_render_only=True, stream=False
    )

    assert answer.json()["_debug_info"] == {
        "rendered_template": "[img-0][img-1]Q",
        "image_count": 2,
    }


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"hello", "is not a PNG, JPEG, WebP, GIF or BMP file, or is damaged"),
        (b"", "is empty"),
        (plain()[:45], "is damaged"),
        (
            bomb(40_000, 40_000),
            "has 40000 x 40000 pixels, more than the 24 megapixels allowed for its format",
        ),
        (plain(300, 1), "has 300 x 1 pixels: one side may be at most 200 times the other"),
    ],
    ids=["no image", "empty", "cut off", "bomb", "line"],
)
async def test_an_image_that_cannot_be_used_is_named_with_its_message(
    seeing: Server, data: bytes, problem: str
) -> None:
    """The next request is served: no runner has seen the file."""
    messages = [turn("a", role="system"), turn("b", plain(), data)]

    assert await refused(seeing, "/api/chat", messages=messages) == (
        f"image 2 of message 2 {problem}"
    )
    assert await refused(seeing, "/api/generate", prompt="Q", images=[sent(data)]) == (
        f"image 1 {problem}"
    )
    assert await said(seeing, turn("still here")) == "still here "
    assert len(seeing.runners) == 1


async def test_a_model_that_cannot_see_refuses_images_on_every_path(server: Server) -> None:
    expected = "Multimodal data provided, but model does not support multimodal requests."
    chat = {"model": "base", "messages": [turn("Q", plain())]}
    generate = {"model": "base", "prompt": "Q", "images": [sent(plain())]}

    assert await refused(server, "/api/chat", **chat) == expected
    assert await refused(server, "/api/generate", **generate) == expected
    assert await refused(server, "/api/generate", **generate, raw=True) == expected


async def test_a_model_that_sees_has_room_for_an_image(seeing: Server) -> None:
    await said(seeing, turn("Q", plain()), options={"num_ctx": 100})

    loaded = (await seeing.http.get("/api/ps")).json()["models"]
    assert [model["context_length"] for model in loaded] == [2048]
