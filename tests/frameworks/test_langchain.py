"""LangChain's chat models, embeddings and tools, through both of its integrations."""

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_ollama import ChatOllama, OllamaEmbeddings
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from tests.frameworks.conftest import MODEL
from tests.support.live_server import LiveServer

QUESTION = "How do I pull a model?"


class Person(BaseModel):
    """A person."""

    name: str
    age: int


@tool
def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"It is sunny in {city}."


@pytest.fixture(params=["ollama", "openai"])
def chat(request: pytest.FixtureRequest, server: LiveServer, v1: str) -> BaseChatModel:
    if request.param == "ollama":
        return ChatOllama(
            model=MODEL, base_url=server.url, temperature=0, reasoning=False,
            validate_model_on_init=True, num_predict=200,
        )  # fmt: skip
    return ChatOpenAI(
        model=MODEL, base_url=v1, api_key="none", temperature=0, reasoning_effort="none",
        max_completion_tokens=200,
    )  # fmt: skip


def test_a_question_is_answered_and_counted(chat: BaseChatModel) -> None:
    answer = chat.invoke(QUESTION)

    assert "pull" in str(answer.content)
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["input_tokens"] > 0
    assert answer.usage_metadata["output_tokens"] > 0


def test_a_stream_says_the_same(chat: BaseChatModel) -> None:
    streamed = "".join(str(part.content) for part in chat.stream(QUESTION))

    assert streamed == chat.invoke(QUESTION).content


def test_a_tool_is_called_and_its_result_used(chat: BaseChatModel) -> None:
    messages = [HumanMessage("What is the weather in Paris?")]
    asked = chat.bind_tools([get_weather]).invoke(messages)

    (call,) = asked.tool_calls
    assert (call["name"], call["args"]) == ("get_weather", {"city": "Paris"})
    result = ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])
    told = chat.bind_tools([get_weather]).invoke([*messages, asked, result])
    assert told.content


def test_an_answer_fits_a_pydantic_model(chat: BaseChatModel) -> None:
    structured = chat.with_structured_output(Person, method="json_schema")
    found = structured.invoke("Make a JSON object with name Anna and age 34.")

    assert found == Person(name="Anna", age=34)


def test_embeddings_have_one_length(server: LiveServer) -> None:
    embeddings = OllamaEmbeddings(model="paddock-embed", base_url=server.url)
    vectors = embeddings.embed_documents(["one text", "another"])

    assert len(vectors) == 2
    assert len(vectors[0]) == len(vectors[1]) == len(embeddings.embed_query("a third"))
