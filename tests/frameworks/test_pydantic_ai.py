"""Pydantic AI: an agent that calls a tool by itself and answers."""

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings

from tests.frameworks.conftest import MODEL


def test_an_agent_uses_its_tool(v1: str) -> None:
    asked: list[str] = []
    model = OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=v1, api_key="none"))
    agent = Agent(model, model_settings=ModelSettings(temperature=0, max_tokens=200))

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """Get the weather of a city."""
        asked.append(city)
        return "It is sunny."

    answer = agent.run_sync("What is the weather in Paris?")

    assert asked == ["Paris"]
    assert answer.output
