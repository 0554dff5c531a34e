"""The official Python library shows images to a running server, alone and with many others."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from ollama import AsyncClient, Client, ResponseError
from PIL import Image

from tests.support.image_files import encoded
from tests.support.live_server import LiveServer, eventually, live_server
from tests.support.tiny_models import CHATML, write_llama
from tests.support.tiny_vision import picture, write_llava

GREEDY = {"temperature": 0, "num_predict": 12}
LOOKING = 8


def image(seed: int = 0) -> bytes:
    """Return the file of a picture."""
    shown = picture(seed)
    return encoded(Image.frombytes("RGB", (shown.width, shown.height), shown.rgb))


def asking(*images: bytes) -> list[dict[str, object]]:
    return [{"role": "user", "content": "What is it?", "images": images}]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with a model that sees and one that does not."""
    directory = tmp_path_factory.mktemp("images")
    gguf = directory / "tiny.gguf"
    write_llama(gguf, n_ctx=4096, chat_template=CHATML, ends=False)
    with live_server(directory) as running:
        running.create("eye", gguf, write_llava(directory / "mmproj.gguf"))
        running.create("blind", gguf)
        yield running


@pytest.fixture
def client(server: LiveServer) -> Iterator[Client]:
    with Client(server.url, timeout=60) as client:
        yield client


@pytest.fixture
async def clients(server: LiveServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.url, timeout=60) as client:
        yield client


def test_a_model_that_sees_says_so(client: Client) -> None:
    assert client.show("eye").capabilities == ["completion", "vision"]
    assert client.show("blind").capabilities == ["completion"]


def test_a_chat_depends_on_the_image_that_it_shows(client: Client, tmp_path: Path) -> None:
    """Given as bytes or as the path of a file, which the library reads."""
    file = tmp_path / "image.png"
    file.write_bytes(image(1))
    answers = [
        client.chat("eye", asking(*shown), options=GREEDY).message.content
        for shown in ([], [image(1)], [file], [image(2)], [image(1), image(2)])
    ]

    assert answers[1] == answers[2]
    assert len(set(answers)) == 4


def test_a_prompt_depends_on_its_image(client: Client) -> None:
    blind = client.generate("eye", "What is it?", options=GREEDY)
    seeing = client.generate("eye", "What is it?", images=[image()], options=GREEDY)

    assert seeing.response
    assert seeing.response != blind.response
    assert (seeing.prompt_eval_count or 0) > (blind.prompt_eval_count or 0)


def test_a_model_that_cannot_see_says_so(client: Client) -> None:
    with pytest.raises(ResponseError, match="does not support multimodal requests") as caught:
        client.chat("blind", asking(image()))
    assert caught.value.status_code == 400


@pytest.mark.anyio
async def test_many_look_at_images_while_others_write(clients: AsyncClient) -> None:
    async def look(seed: int) -> str:
        answer = await clients.chat("eye", asking(image(seed), image(seed + 1)), options=GREEDY)
        return answer.message.content or ""

    async def write() -> int | None:
        parts = await clients.generate("eye", "Once", stream=True, options={"num_predict": 60})
        return [part.eval_count async for part in parts][-1]

    *looked, one, other = await asyncio.gather(*map(look, range(LOOKING)), write(), write())

    assert len(set(looked)) == LOOKING
    assert (one, other) == (60, 60)


@pytest.mark.anyio
async def test_a_client_that_leaves_before_its_image_was_seen_disturbs_nobody(
    clients: AsyncClient,
) -> None:
    leaving = [
        asyncio.create_task(clients.chat("eye", asking(image(seed)), options=GREEDY))
        for seed in range(20, 20 + LOOKING)
    ]
    staying = asyncio.create_task(clients.chat("eye", asking(image(20)), options=GREEDY))
    await asyncio.sleep(0)
    for number, task in enumerate(leaving):
        await asyncio.sleep(0.002 * number)
        task.cancel()
    await asyncio.gather(*leaving, return_exceptions=True)

    again = await clients.chat("eye", asking(image(20)), options=GREEDY)
    assert (await staying).message.content
    assert again.message.content


@pytest.mark.anyio
async def test_a_runner_that_dies_with_images_is_replaced(
    server: LiveServer, clients: AsyncClient
) -> None:
    endless = {"num_predict": 20_000, "num_ctx": 4096}
    parts = await clients.chat("eye", asking(image()), stream=True, options=endless)
    await anext(aiter(parts))
    for runner in server.runners():
        runner.kill()
    with pytest.raises(ResponseError, match="the model runner stopped unexpectedly"):
        async for _ in parts:
            pass

    assert (await clients.chat("eye", asking(image()), options=GREEDY)).message.content
    assert eventually(lambda: len(server.runners()) == 2), "one serves, one stands by"
