"""OpenAI's Agents SDK: an agent that calls a tool by itself and answers, over both APIs."""

from collections.abc import AsyncIterator

import pytest
from agents import (
    Agent,
    Model,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI

from tests.frameworks.conftest import MODEL

pytestmark = pytest.mark.anyio

KINDS = {"chat": OpenAIChatCompletionsModel, "responses": OpenAIResponsesModel}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One loop for all tests: the library keeps its connections."""
    return "asyncio"


@pytest.fixture(autouse=True)
def no_tracing() -> None:
    """Traces would be sent to OpenAI."""
    set_tracing_disabled(disabled=True)


@pytest.fixture(params=KINDS)
async def model(request: pytest.FixtureRequest, v1: str) -> AsyncIterator[Model]:
    async with AsyncOpenAI(base_url=v1, api_key="none", max_retries=0) as client:
        yield KINDS[request.param](MODEL, client)


def agent_of(model: Model, asked: list[str]) -> Agent:
    @function_tool
    def get_weather(city: str) -> str:
        """Get the weather of a city."""
        asked.append(city)
        return "It is sunny."

    settings = ModelSettings(temperature=0, max_tokens=200)
    return Agent("weather", model=model, model_settings=settings, tools=[get_weather])


async def test_an_agent_uses_its_tool(model: Model) -> None:
    asked: list[str] = []

    result = await Runner.run(agent_of(model, asked), "What is the weather in Paris?")

    assert asked == ["Paris"]
    assert result.final_output


async def test_a_stream_ends_with_the_same_answer(model: Model) -> None:
    asked: list[str] = []
    question = "What is the weather in Paris?"
    whole = await Runner.run(agent_of(model, []), question)
    streamed = Runner.run_streamed(agent_of(model, asked), question)
    events = [event async for event in streamed.stream_events()]

    assert asked == ["Paris"]
    assert events
    assert streamed.final_output == whole.final_output
