"""The Responses part of OpenAI's official Python library works against a running server."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError, OpenAI
from pydantic import BaseModel

from server.http.streaming import EventReply
from server.inference.conversation import CompletedCall, Delta, Finish
from server.media.remote_images import RemoteImages
from server.openai.responses.framing import ResponseFraming
from server.openai.responses.reply import ResponseStream
from server.openai.responses.schemas import ResponsesRequest
from server.openai.responses.service import ResponsesService
from server.openai.responses.store import ResponseStore
from tests.support.live_server import LiveServer, live_server
from tests.support.scripted_events import scripted
from tests.support.tiny_models import CHATML, write_llama


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with a model that never ends by itself."""
    directory = tmp_path_factory.mktemp("responses")
    with live_server(directory) as running:
        running.create(
            "tiny", write_llama(directory / "tiny.gguf", chat_template=CHATML, ends=False)
        )
        yield running


@pytest.fixture(scope="module")
def client(server: LiveServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", timeout=60, max_retries=0) as client:
        yield client


GREEDY: Any = {"model": "tiny", "temperature": 0, "max_output_tokens": 8}


def test_a_text_is_answered(client: OpenAI) -> None:
    answer = client.responses.create(input="Hello", instructions="Be brief.", **GREEDY)

    assert answer.output_text
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert answer.usage.output_tokens == 8


def test_a_stream_is_the_answer_in_one_piece(client: OpenAI) -> None:
    whole = client.responses.create(input="Hello", **GREEDY)
    with client.responses.create(input="Hello", stream=True, **GREEDY) as stream:
        events = list(stream)

    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == whole.output_text == events[-1].response.output_text


class City(BaseModel):
    """What the model is made to say."""

    large: bool


def test_an_answer_is_parsed_as_the_type_that_was_asked_for(client: OpenAI) -> None:
    asked: Any = {"model": "tiny", "input": "Hello", "temperature": 0, "text_format": City}
    parsed = client.responses.parse(**asked)
    with client.responses.stream(**asked) as stream:
        streamed = stream.get_final_response()

    assert isinstance(parsed.output_parsed, City)
    assert streamed.output_parsed == parsed.output_parsed


def test_a_response_is_gone_on_from_read_again_and_deleted(client: OpenAI) -> None:
    first = client.responses.create(input="Hello", **GREEDY)
    second = client.responses.create(input="More", previous_response_id=first.id, **GREEDY)

    assert second.usage.input_tokens > first.usage.input_tokens + first.usage.output_tokens
    assert client.responses.retrieve(first.id) == first
    assert client.responses.cancel(first.id) == first
    [item] = client.responses.input_items.list(first.id)
    assert item.content[0].text == "Hello"

    client.responses.delete(first.id)

    with pytest.raises(NotFoundError):
        client.responses.retrieve(first.id)
    with pytest.raises(BadRequestError, match="not found"):
        client.responses.create(input="More", previous_response_id=second.id, **GREEDY)


def test_a_response_is_cancelled_while_it_streams(client: OpenAI) -> None:
    endless: Any = {"model": "tiny", "input": "Hello", "max_output_tokens": 100_000}
    with client.responses.create(stream=True, **endless) as stream:
        created = next(stream)
        next(stream)
        cancelled = client.responses.cancel(created.response.id)
        *_, last = stream

    assert cancelled.status == "cancelled"
    assert last.response.status == "cancelled"
    assert client.responses.retrieve(cancelled.id).status == "cancelled"


def test_a_conversation_is_gone_on_from_changed_and_deleted(client: OpenAI) -> None:
    hello: Any = {"type": "message", "role": "user", "content": "Hello"}
    conversation = client.conversations.create(items=[hello], metadata={"topic": "x"})
    answer = client.responses.create(input="More", conversation=conversation.id, **GREEDY)

    items = list(client.conversations.items.list(conversation.id, order="asc", limit=1))
    assert [item.content[0].text for item in items] == ["Hello", "More", answer.output_text]
    assert client.conversations.retrieve(conversation.id) == conversation
    changed = client.conversations.update(conversation.id, metadata={"topic": "y"})
    assert changed.metadata == {"topic": "y"}
    client.conversations.items.delete(items[0].id, conversation_id=conversation.id)
    with pytest.raises(NotFoundError):
        client.conversations.items.retrieve(items[0].id, conversation_id=conversation.id)
    added = client.conversations.items.create(conversation.id, items=[hello])
    assert added.data[0].content[0].text == "Hello"
    assert client.conversations.delete(conversation.id).deleted
    with pytest.raises(NotFoundError, match="Conversation with id"):
        client.responses.create(input="More", conversation=conversation.id, **GREEDY)


def test_the_tokens_of_an_input_are_counted(client: OpenAI) -> None:
    counted = client.responses.input_tokens.count(model="tiny", input="Hello")

    answer = client.responses.create(input="Hello", **GREEDY)
    assert counted.input_tokens == answer.usage.input_tokens


def test_mistakes_are_errors_of_the_library(client: OpenAI) -> None:
    with pytest.raises(NotFoundError, match="model 'nosuch' not found"):
        client.responses.create(model="nosuch", input="Hello")
    with pytest.raises(BadRequestError, match="unknown input item type"):
        client.responses.create(model="tiny", input=[{"type": "nosuch_call", "id": "x"}])
    with pytest.raises(NotFoundError, match="Item with id 'x' not found"):
        client.responses.create(model="tiny", input=[{"type": "item_reference", "id": "x"}])


@pytest.mark.anyio
async def test_thoughts_and_calls_arrive_as_items(tmp_path: Any) -> None:
    answer = (
        Delta("Let me see", thinking="Hm"),
        Delta(calls=(CompletedCall("call_1", 0, "weather", {"city": "Oslo"}),)),
        Finish(called=True),
    )
    request = ResponsesRequest(model="m", input="Hello", stream=True, store=False)
    stored = ResponseStore(tmp_path / "x", 0)
    images = RemoteImages(is_allowed=False)
    service = ResponsesService(lambda _: scripted(*answer), stored, images.fetch)

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        stream = ResponseStream(request)
        events = service(request, stream)
        framing = ResponseFraming(stream)
        await EventReply[Any](events, stream=True, fold=list, framing=framing)(scope, receive, send)

    http = httpx.AsyncClient(transport=httpx.ASGITransport(serve))
    async with (
        AsyncOpenAI(base_url="http://test", api_key="none", http_client=http) as reader,
        reader.responses.stream(model="m", input="Hello") as stream,
    ):
        response = await stream.get_final_response()

    reasoning, message, call = response.output
    assert reasoning.summary[0].text == "Hm"
    assert message.content[0].text == response.output_text == "Let me see"
    assert (call.call_id, call.name, call.arguments) == ("call_1", "weather", '{"city":"Oslo"}')
