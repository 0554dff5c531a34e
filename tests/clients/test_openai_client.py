"""The official Python library of OpenAI works against a running server."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from openai import APIError, AsyncOpenAI, BadRequestError, NotFoundError, OpenAI
from pydantic import BaseModel

from runners.host.errors import RunnerDied
from server.http.streaming import EventReply
from server.inference.conversation import CompletedCall, Delta, Event, Finish
from server.openai.chat.reply import ChatReplies
from server.openai.framing import FRAMING
from server.openai.reply import Heading
from tests.support.live_server import LiveServer, live_server
from tests.support.scripted_events import scripted
from tests.support.tiny_models import CHATML, SPACE, llama_pieces, write_bert, write_llama

HELLO: Any = [{"role": "user", "content": "Hello"}]
GREEDY: dict[str, Any] = {"temperature": 0, "max_completion_tokens": 8}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with a generative model that never ends by itself, and one for embeddings."""
    directory = tmp_path_factory.mktemp("openai")
    with live_server(directory) as running:
        llama = write_llama(directory / "tiny.gguf", chat_template=CHATML, ends=False)
        running.create("tiny", llama)
        running.create("bert", write_bert(directory / "bert.gguf"))
        yield running


@pytest.fixture(scope="module")
def client(server: LiveServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", timeout=60, max_retries=0) as client:
        yield client


def test_chat_answers_as_the_assistant(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="tiny", messages=HELLO, **GREEDY)

    [choice] = answer.choices
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert choice.finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 8
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 8


def test_a_stream_joins_to_the_answer_in_one_piece(client: OpenAI) -> None:
    whole = client.chat.completions.create(model="tiny", messages=HELLO, **GREEDY)
    with client.chat.completions.create(
        model="tiny", messages=HELLO, stream=True, stream_options={"include_usage": True}, **GREEDY
    ) as stream:
        *pieces, usage = stream

    assert usage.usage is not None
    assert usage.usage.completion_tokens == 8
    deltas = [piece.choices[0].delta for piece in pieces]
    assert deltas[0].role == "assistant"
    assert "".join(d.content or "" for d in deltas) == whole.choices[0].message.content
    assert pieces[-1].choices[0].finish_reason == "length"


def test_a_repeated_prompt_is_told_to_be_cached(client: OpenAI) -> None:
    for _ in range(2):
        answer = client.chat.completions.create(model="tiny", messages=HELLO, **GREEDY)

    assert answer.usage is not None
    assert answer.usage.prompt_tokens_details is not None
    assert (answer.usage.prompt_tokens_details.cached_tokens or 0) > 0


class City(BaseModel):
    """What the model is made to say."""

    large: bool


def test_an_answer_is_parsed_as_the_type_that_was_asked_for(client: OpenAI) -> None:
    answer = client.chat.completions.parse(
        model="tiny", messages=HELLO, response_format=City, temperature=0, max_tokens=64
    )

    assert isinstance(answer.choices[0].message.parsed, City)


def test_streamed_answers_are_collected_and_parsed_by_the_library(client: OpenAI) -> None:
    with client.chat.completions.stream(
        model="tiny", messages=HELLO, response_format=City, n=2, max_tokens=64
    ) as stream:
        completion = stream.get_final_completion()

    assert len(completion.choices) == 2
    assert all(isinstance(choice.message.parsed, City) for choice in completion.choices)


def test_an_answer_is_an_object_where_only_json_was_asked_for(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="tiny",
        messages=HELLO,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": {"enum": [{"a": 1}]}},
        },
    )

    assert json.loads(answer.choices[0].message.content or "") == {"a": 1}


def test_log_probabilities_are_told_for_each_token(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="tiny", messages=HELLO, logprobs=True, top_logprobs=2, **GREEDY
    )

    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert len(logprobs.content or []) == 8
    for entry in logprobs.content or []:
        assert entry.logprob == max(other.logprob for other in entry.top_logprobs)


def test_a_bias_forces_a_token(client: OpenAI) -> None:
    dog = [text for text, *_ in llama_pieces()].index(f"{SPACE}dog")

    answer = client.completions.create(
        model="tiny", prompt="Once", max_tokens=2, logit_bias={str(dog): 100}
    )

    assert answer.choices[0].text == " dog dog"


def test_completions_of_several_prompts_stream(client: OpenAI) -> None:
    prompts = ["Once upon", "a time"]
    whole = client.completions.create(model="tiny", prompt=prompts, max_tokens=4, temperature=0)
    texts = ["", ""]
    with client.completions.create(
        model="tiny", prompt=prompts, max_tokens=4, temperature=0, stream=True
    ) as stream:
        for piece in stream:
            texts[piece.choices[0].index] += piece.choices[0].text

    assert texts == [choice.text for choice in whole.choices]


def test_embeddings_are_decoded_by_the_library(client: OpenAI) -> None:
    """It asks for base64 unless told otherwise."""
    texts = ["Hello", "there"]
    decoded = client.embeddings.create(model="bert", input=texts)
    numbers = client.embeddings.create(model="bert", input=texts, encoding_format="float")

    assert [vector.index for vector in decoded.data] == [0, 1]
    for left, right in zip(decoded.data, numbers.data, strict=True):
        assert left.embedding == pytest.approx(right.embedding, abs=1e-6)


def test_models_are_listed_and_found(client: OpenAI) -> None:
    assert {model.id for model in client.models.list()} == {"tiny:latest", "bert:latest"}
    assert client.models.retrieve("tiny").owned_by == "library"


def test_native_options_pass_as_extra_fields(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="tiny",
        messages=HELLO,
        temperature=0,
        extra_body={"options": {"num_predict": 3}, "keep_alive": "10m", "num_ctx": 512},
    )

    assert answer.usage is not None
    assert answer.usage.completion_tokens == 3


def test_a_missing_model_and_a_wrong_value_are_errors_of_the_library(client: OpenAI) -> None:
    with pytest.raises(NotFoundError, match="model 'nosuch' not found"):
        client.chat.completions.create(model="nosuch", messages=HELLO)
    with pytest.raises(BadRequestError, match="logit_bias"):
        client.chat.completions.create(model="tiny", messages=HELLO, logit_bias={"a": 1})


def _reader(*events: Event | Exception, stream: bool) -> AsyncOpenAI:
    """Return a client of a server that answers with `events`, whatever it is asked."""
    replies = ChatReplies(heading=Heading("chatcmpl-1", "m"))
    answer = scripted(*events)
    reply = EventReply[Any](
        replies.streamed(answer) if stream else answer,
        stream=stream,
        fold=replies.whole,
        framing=FRAMING,
    )
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(reply))
    return AsyncOpenAI(base_url="http://test", api_key="none", http_client=http, max_retries=0)


CALLS = (
    Delta(thinking="Hm"),
    Delta("Let me see", calls=(CompletedCall("call_1", 0, "weather", {"city": "Oslo"}),)),
    Delta(calls=(CompletedCall("call_2", 1, "now", {}),)),
    Finish(called=True, n_prompt=5, n_generated=7),
)


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_thoughts_and_calls_arrive_whole(stream: bool) -> None:
    async with _reader(*CALLS, stream=stream) as reader:
        if stream:
            async with reader.chat.completions.stream(model="m", messages=HELLO) as answer:
                completion: Any = await answer.get_final_completion()
        else:
            completion = await reader.chat.completions.create(model="m", messages=HELLO)

    [choice] = completion.choices
    weather, now = choice.message.tool_calls
    assert (choice.message.content, choice.message.reasoning) == ("Let me see", "Hm")
    assert (weather.id, weather.function.name) == ("call_1", "weather")
    assert json.loads(weather.function.arguments) == {"city": "Oslo"}
    assert (now.id, now.function.arguments) == ("call_2", "{}")
    assert choice.finish_reason == "tool_calls"


@pytest.mark.anyio
async def test_a_stream_that_fails_raises_an_error_of_the_library() -> None:
    async with _reader(Delta("On"), RunnerDied("it was killed"), stream=True) as reader:
        stream = await reader.chat.completions.create(model="m", messages=HELLO, stream=True)
        assert (await anext(stream)).choices[0].delta.content == "On"
        with pytest.raises(APIError, match="it was killed"):
            await anext(stream)
