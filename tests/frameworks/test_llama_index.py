"""LlamaIndex's client: completion, chat, streams."""

import pytest
from llama_index.core.llms import ChatMessage
from llama_index.llms.ollama import Ollama

from tests.frameworks.conftest import MODEL
from tests.support.live_server import LiveServer


@pytest.fixture
def llm(server: LiveServer) -> Ollama:
    return Ollama(
        model=MODEL, base_url=server.url, request_timeout=120, temperature=0, thinking=False,
        context_window=512, additional_kwargs={"num_predict": 200},
    )  # fmt: skip


def test_a_prompt_is_completed(llm: Ollama) -> None:
    assert llm.complete("How do I delete a model?").text


def test_a_chat_and_its_stream_say_the_same(llm: Ollama) -> None:
    messages = [ChatMessage(role="user", content="How do I delete a model?")]
    streamed = "".join(part.delta or "" for part in llm.stream_chat(messages))

    assert streamed == llm.chat(messages).message.content
