"""Each family's chat template shows a whole conversation, and what it prints is understood."""

import pytest

from server.formats import of_go_template
from server.parsing.output_format import GenerationStart
from server.prompt.image_tags import ImagePlacement, with_tags
from server.prompt.messages import Message
from tests.support.families.chat_templates import (
    CALL,
    CALLED,
    GO,
    JINJA,
    OTHER_CALL,
    OTHER_RESULT,
    QUESTION,
    RESULT,
    SYSTEM,
    WEATHER,
    Chat,
    go_chat,
    jinja_chat,
)
from tests.support.parsing import output

THINKING = {
    "qwen3": ("<think>\n", "\n</think>\n\n"),
    "qwen3.5": ("<think>\n", "\n</think>\n\n"),
    "glm": ("<think>", "</think>"),
    "deepseek-r1": ("<think>\n", "\n</think>\n\n"),
    "deepseek-v3.1": ("<think>", "</think>"),
    "deepseek-v3.2": ("<think>", "</think>"),
    "kimi-k2-thinking": ("<think>", "</think>"),
    "smollm3": ("<think>\n", "\n</think>\n"),
    "nemotron-nano-2": ("<think>\n", "\n</think>\n\n"),
    "seed-oss": ("<seed:think>", "</seed:think>"),
    "minimax-m2": ("<think>\n", "\n</think>\n\n"),
    "granite-3": ("<think>", "</think>"),
    "magistral": ("[THINK]", "[/THINK]"),
    "command-a": ("<|START_THINKING|>", "<|END_THINKING|><|START_RESPONSE|>"),
    "gpt-oss": ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final"),
    "gemma-4": ("<|channel>thought\n", "\n<channel|>"),
    "apertus": ("<|inner_prefix|>", "<|inner_suffix|>"),
    "minicpm5": ("<think>\n", "\n</think>\n\n"),
    "kimi-k3": ("<|open|>think<|sep|>", "<|close|>think<|sep|><|open|>response<|sep|>"),
    "minimax-m1": ("<think>\n", "\n</think>\n\n"),
    "minimax-m3": ("<mm:think>", "</mm:think>"),
    "hunyuan-3": ("<think:opensource>", "</think:opensource>"),
    "solar-open": ("<|think|>", "<|end|><|begin|>assistant<|content|>"),
}
"""What stands around a thought, by the template."""
ALWAYS = {"deepseek-r1", "kimi-k2-thinking", "minimax-m1", "minimax-m2", "magistral"}
"""Templates without a switch: their models always think, or decide themselves."""
SHOWN_THOUGHTS = sorted(
    THINKING.keys()
    - {"deepseek-r1", "deepseek-v3.1", "nemotron-nano-2", "granite-3", "smollm3", "minimax-m1"}
)
"""Templates that print the thought before a call; the others leave it out of earlier turns."""


@pytest.fixture(params=[*(f"jinja {name}" for name in JINJA), *(f"go {name}" for name in GO)])
def chat(request: pytest.FixtureRequest) -> Chat:
    kind, name = request.param.split()
    return jinja_chat(name) if kind == "jinja" else go_chat(name, of_go_template(GO[name]).output)


def test_all_texts_of_a_conversation_are_in_the_prompt(chat: Chat) -> None:
    answer, last = Message("assistant", "It is sunny."), Message("user", "And Rome?")

    prompt = chat.render([SYSTEM, QUESTION, answer, last], (), None)

    for message in (SYSTEM, QUESTION, answer, last):
        assert prompt.count(message.content) == 1
    assert prompt.index(QUESTION.content) < prompt.index(answer.content)
    assert prompt.index(answer.content) < prompt.index(last.content)


def test_tools_are_declared(chat: Chat) -> None:
    prompt = chat.render([SYSTEM, QUESTION], (WEATHER,), None)

    assert SYSTEM.content in prompt
    for text in (WEATHER.name, WEATHER.description, "city", "days"):
        assert text in prompt


@pytest.mark.parametrize("think", [None, True, False])
def test_a_call_is_read_as_the_template_prints_it(chat: Chat, think: bool | None) -> None:
    assert chat.format.tools
    assert chat.written(CALLED, think).calls == [(CALL.name, CALL.arguments)]


def test_calls_and_results_stay_in_the_conversation(chat: Chat) -> None:
    both = Message("assistant", tool_calls=(CALL, OTHER_CALL))

    prompt = chat.render([SYSTEM, QUESTION, both, RESULT, OTHER_RESULT], (WEATHER,), None)

    for text in ("Le Mans", "Brest", RESULT.content, OTHER_RESULT.content):
        assert text in prompt


def test_an_image_is_where_the_message_has_it(chat: Chat) -> None:
    seen = Message("user", "See [img] here", images=(b"",))

    [message] = with_tags([seen], ImagePlacement.BEFORE)

    assert "See [img-0] here" in chat.render([message], (), None)


@pytest.mark.parametrize("name", THINKING)
def test_a_thought_is_told_apart(name: str) -> None:
    """Whether the template begins it or the model does."""
    chat, (opening, closing) = jinja_chat(name), THINKING[name]
    prompt = chat.render([QUESTION], (), True)
    begun = opening.strip() if prompt.rstrip().endswith(opening.strip()) else ""
    text = f"{'' if begun else opening}I think.{closing}"
    text += "<|message|>Yes." if name == "gpt-oss" else "Yes."

    parsed = chat.parsed(prompt, text, think=True)

    assert chat.format.thinking
    assert (parsed.thinking.strip(), parsed.content.strip()) == ("I think.", "Yes.")


@pytest.mark.parametrize("name", sorted(THINKING.keys() - ALWAYS))
def test_thinking_can_be_turned_off(name: str) -> None:
    chat = jinja_chat(name)
    level = "high" if name == "gpt-oss" else True

    off, on = (chat.render([QUESTION], (), think) for think in (False, level))

    assert off != on


@pytest.mark.parametrize("name", SHOWN_THOUGHTS)
def test_a_thought_before_a_call_is_read_as_the_template_prints_it(name: str) -> None:
    turn = Message("assistant", thinking="I need the weather.", tool_calls=(CALL,))

    parsed = jinja_chat(name).written(turn, think=True)

    assert parsed.thinking.strip() == "I need the weather."
    assert parsed.calls == [(CALL.name, CALL.arguments)]


@pytest.mark.parametrize("name", JINJA)
def test_an_answer_that_was_begun_goes_on_as_an_answer(name: str) -> None:
    """After the mark of an answer and not within a thought, whatever the prompt opens."""
    chat, begun = jinja_chat(name), Message("assistant", "It is")
    prompt = chat.render([QUESTION, begun], (), True)
    generation = GenerationStart(tools=(WEATHER,), prompt=prompt, think=True, last=begun)

    parsed = output(chat.format.create_parser(generation), [" sunny."])

    assert prompt.endswith("It is")
    assert (parsed.content.strip(), parsed.thinking) == ("sunny.", "")


LEVELS = {"kimi-k3": ("low", "max"), "hunyuan-3": ("low", "high"), "gpt-oss": ("low", "high")}
"""Templates that know levels of thinking."""


@pytest.mark.parametrize("name", LEVELS)
def test_every_level_of_thinking_is_accepted(name: str) -> None:
    """One that the family does not know is the nearest that it knows."""
    chat = jinja_chat(name)

    prompts = {
        level: chat.render([QUESTION], (), chat.format.thinking_level(level))
        for level in ("low", "medium", "high", "max")
    }

    lowest, highest = LEVELS[name]
    assert prompts["low"] != prompts["max"]
    assert f"{lowest}" in prompts["low"]
    assert f"{highest}" in prompts["max"]
