"""The official Python library of Anthropic works against a running server."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from anthropic import Anthropic, APIStatusError, AsyncAnthropic, BadRequestError, NotFoundError
from pydantic import BaseModel

from runners.host.errors import RunnerDied
from server.anthropic.framing import MessageFraming
from server.anthropic.reply import message_events, message_of
from server.http.streaming import EventReply
from server.inference.conversation import CompletedCall, Delta, Event, Finish
from tests.support.live_server import LiveServer, live_server
from tests.support.scripted_events import scripted
from tests.support.tiny_models import CHATML, write_llama

HELLO: Any = [{"role": "user", "content": "Hello"}]
GREEDY = {"temperature": 0}
"""What the library no longer offers as an argument."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with a model that never ends by itself."""
    directory = tmp_path_factory.mktemp("anthropic")
    with live_server(directory) as running:
        running.create(
            "tiny", write_llama(directory / "tiny.gguf", chat_template=CHATML, ends=False)
        )
        yield running


@pytest.fixture(scope="module")
def client(server: LiveServer) -> Iterator[Anthropic]:
    with Anthropic(base_url=server.url, api_key="none", timeout=60, max_retries=0) as client:
        yield client


def test_a_message_is_answered_as_the_assistant(client: Anthropic) -> None:
    answer = client.messages.create(
        model="tiny",
        max_tokens=8,
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        messages=HELLO,
    )

    [block] = answer.content
    assert (answer.role, block.type) == ("assistant", "text")
    assert block.text
    assert (answer.stop_reason, answer.stop_sequence) == ("max_tokens", None)
    assert answer.usage.output_tokens == 8
    assert answer.usage.input_tokens > 8


def test_a_stream_is_the_answer_in_one_piece(client: Anthropic) -> None:
    asked: Any = {"model": "tiny", "max_tokens": 8, "messages": HELLO, "extra_body": GREEDY}
    whole = client.messages.create(**asked)
    with client.messages.stream(**asked) as stream:
        text = "".join(stream.text_stream)
        streamed = stream.get_final_message()

    assert text == streamed.content[0].text == whole.content[0].text
    assert (streamed.stop_reason, streamed.usage) == (whole.stop_reason, whole.usage)


def test_a_stop_sequence_is_named(client: Anthropic) -> None:
    asked: Any = {"model": "tiny", "max_tokens": 16, "messages": HELLO, "extra_body": GREEDY}
    [block] = client.messages.create(**asked).content
    stop = block.text[3:6]

    answer = client.messages.create(**asked, stop_sequences=[stop])

    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", stop)
    assert stop not in answer.content[0].text


class City(BaseModel):
    """What the model is made to say."""

    large: bool


def test_an_answer_is_parsed_as_the_type_that_was_asked_for(client: Anthropic) -> None:
    answer = client.messages.parse(
        model="tiny", max_tokens=64, messages=HELLO, output_format=City, extra_body=GREEDY
    )

    assert isinstance(answer.parsed_output, City)


def test_tokens_are_counted_without_an_answer(client: Anthropic) -> None:
    counted = client.messages.count_tokens(model="tiny", messages=HELLO)
    answer = client.messages.create(model="tiny", max_tokens=1, messages=HELLO)

    assert counted.input_tokens == answer.usage.input_tokens


def test_mistakes_are_errors_of_the_library(client: Anthropic) -> None:
    with pytest.raises(NotFoundError, match="model 'nosuch' not found"):
        client.messages.create(model="nosuch", max_tokens=1, messages=HELLO)
    with pytest.raises(BadRequestError, match="messages is required"):
        client.messages.create(model="tiny", max_tokens=1, messages=[])


def _reader(*events: Event | Exception, stream: bool) -> AsyncAnthropic:
    """Return a client of a server that answers with `events`, whatever it is asked."""
    reply = EventReply[Any](
        message_events(scripted(*events), model="m", n_input=1, stops=()),
        stream=stream,
        fold=message_of,
        framing=MessageFraming(),
    )
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(reply))
    return AsyncAnthropic(base_url="http://test", api_key="none", http_client=http, max_retries=0)


ASKED: Any = {"model": "m", "max_tokens": 9, "messages": HELLO}
ANSWER = (
    Delta(thinking="H"),
    Delta("Let me ", thinking="m"),
    Delta("see", calls=(CompletedCall("call_1", 0, "weather", {"city": "Oslo"}),)),
    Delta(calls=(CompletedCall("call_2", 1, "now", {}),)),
    Finish(called=True, n_prompt=5, n_generated=7),
)


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_thoughts_and_calls_arrive_as_blocks(stream: bool) -> None:
    async with _reader(*ANSWER, stream=stream) as reader:
        if stream:
            async with reader.messages.stream(**ASKED) as answer:
                message = await answer.get_final_message()
        else:
            message = await reader.messages.create(**ASKED)

    thinking, text, weather, now = message.content
    assert (thinking.type, text.type) == ("thinking", "text")
    assert (thinking.thinking, thinking.signature, text.text) == ("Hm", "", "Let me see")
    assert weather.type == now.type == "tool_use"
    assert (weather.id, weather.name, weather.input) == ("call_1", "weather", {"city": "Oslo"})
    assert now.input == {}
    assert message.stop_reason == "tool_use"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (5, 7)


@pytest.mark.anyio
async def test_a_stream_that_breaks_off_raises() -> None:
    async with _reader(Delta("Hi"), RunnerDied("it was killed"), stream=True) as reader:
        with pytest.raises(APIStatusError) as raised:
            async with reader.messages.stream(**ASKED) as answer:
                await answer.get_final_message()

    assert json.loads(json.dumps(raised.value.body))["error"]["type"] == "api_error"
