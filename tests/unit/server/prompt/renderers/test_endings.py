"""How a prompt ends decides what the model writes next: a thought, an answer, or more of one."""

import pytest

from server.errors import TemplateError
from server.prompt.messages import Message
from server.prompt.renderers.table import RENDERERS
from tests.support.conversations import CALL, RESULT, SYSTEM, USER, answer, prompt

CHATML = "Q<|im_end|>\n<|im_start|>assistant\n"
THINKS, THOUGHTLESS = CHATML + "<think>\n", CHATML + "<think>\n\n</think>\n\n"
GEMMA = "Q<turn|>\n<|turn>model\n"
COHERE = "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|><|START_THINKING|>"
NEMOTRON = (THINKS, THINKS, CHATML + "<think></think>")


@pytest.mark.parametrize(
    ("family", "unset", "on", "off"),
    [
        ("cogito", "Q<｜Assistant｜>", "Q<｜Assistant｜><think>\n", "Q<｜Assistant｜>"),
        ("cohere", COHERE, COHERE, COHERE + "<|END_THINKING|>"),
        ("deepseek3.1", "Q<｜Assistant｜></think>", "Q<｜Assistant｜><think>", "｜></think>"),
        ("functiongemma", *["Q<end_of_turn>\n<start_of_turn>model\n"] * 3),
        ("gemma4-small", *[GEMMA] * 3),
        (
            "gemma4-large",
            GEMMA + "<|channel>thought\n<channel|>",
            GEMMA,
            GEMMA + "<|channel>thought\n<channel|>",
        ),
        ("glimmer", *["Q<|eot|><|start|>assistant"] * 3),
        ("glm-4.7", "Q<|assistant|><think>", "Q<|assistant|><think>", "Q<|assistant|></think>"),
        ("glm-ocr", *["Q<|assistant|>\n"] * 2, "Q/nothink<|assistant|>\n<think></think>\n"),
        ("laguna", "<assistant>\n</think>", "<assistant>\n<think>", "<assistant>\n</think>"),
        ("lfm2", *[CHATML] * 3),
        ("lfm2-thinking", *[CHATML] * 3),
        ("nemotron-3-nano", *NEMOTRON),
        ("nemotron-3.5-nano", *NEMOTRON),
        ("olmo3", *[CHATML] * 3),
        ("olmo3.1", *[CHATML] * 3),
        ("olmo3-think", *[CHATML + "<think>"] * 3),
        ("olmo3-32b-think", *[CHATML + "<think>"] * 3),
        ("ornith", THINKS, THINKS, THOUGHTLESS),
        ("poolside-v1", "<assistant></think>", "<assistant><think>", "<assistant></think>"),
        ("qwen3-coder", *[CHATML] * 3),
        ("qwen3-vl-instruct", *[CHATML] * 3),
        ("qwen3-vl-thinking", *[THINKS] * 3),
        ("qwen3.5", THINKS, THINKS, THOUGHTLESS),
        ("qwen3.8", THINKS, THINKS, THOUGHTLESS),
    ],
)
def test_the_model_s_turn_is_opened_with_or_without_a_thought(
    family: str, unset: str, on: str, off: str
) -> None:
    for think, ending in ((None, unset), (True, on), ("low", on), (False, off)):
        assert prompt(family, USER, think=think).endswith(ending)


LEFT_OPEN = {
    "cohere": "<|CHATBOT_TOKEN|><|START_TEXT|>A",
    "laguna": "<assistant>\n</think>\nA\n",
    "lfm2": CHATML + "A",
    "lfm2-thinking": CHATML + "A",
    "olmo3": CHATML + "A",
    "olmo3.1": CHATML + "A",
    "ornith": THOUGHTLESS + "A",
    "qwen3-coder": CHATML + "A",
    "qwen3-vl-instruct": CHATML + "A",
    "qwen3-vl-thinking": THOUGHTLESS + "A",
    "qwen3.5": THOUGHTLESS + "A",
    "qwen3.8": THOUGHTLESS + "A",
}
CLOSED = {
    "cogito": "A<｜end▁of▁sentence｜><｜Assistant｜><think>\n",
    "deepseek3.1": "Q<｜Assistant｜></think>A<｜end▁of▁sentence｜>",
    "functiongemma": "A<end_of_turn>\n<start_of_turn>model\n",
    "gemma4-large": "A<turn|>\n<|turn>model\n",
    "gemma4-small": "A<turn|>\n<|turn>model\n",
    "glimmer": "<|start|>assistant to=user<|message|>A<|eot|><|start|>assistant",
    "glm-4.7": "<|assistant|></think>A<|assistant|><think>",
    "glm-ocr": "<|assistant|>\n<think></think>\nA\n<|assistant|>\n",
    "nemotron-3-nano": CHATML + "<think></think>A<|im_end|>\n<|im_start|>assistant\n<think>\n",
    "nemotron-3.5-nano": CHATML + "<think></think>A<|im_end|>\n<|im_start|>assistant\n<think>\n",
    "olmo3-think": "A<|im_end|>\n<|im_start|>assistant\n<think>",
    "olmo3-32b-think": "A<|im_end|>\n<|im_start|>assistant\n<think>",
    "poolside-v1": "<assistant><think></think>A</assistant>\n<assistant><think>",
}


@pytest.mark.parametrize("family", sorted(RENDERERS))
def test_an_answer_that_was_begun_is_gone_on_with_or_closed(family: str) -> None:
    expected = (LEFT_OPEN | CLOSED)[family]

    assert prompt(family, USER, answer("A"), think=True).endswith(expected)


@pytest.mark.parametrize(
    ("family", "ending"),
    [
        ("cohere", "]<|END_ACTION|><|END_OF_TURN_TOKEN|>" + COHERE),
        ("laguna", "</tool_call>\n"),
        ("olmo3", "</function_calls><|im_end|>\n<|im_start|>assistant\n"),
        ("qwen3-coder", "</tool_call><|im_end|>\n<|im_start|>assistant\n"),
        ("qwen3-vl-instruct", "</tool_call>"),
        ("qwen3.5", "</tool_call>"),
    ],
)
def test_a_call_without_its_result_is_the_model_s_last_word(family: str, ending: str) -> None:
    assert prompt(family, USER, answer("", CALL)).endswith(ending)


@pytest.mark.parametrize("family", sorted(set(RENDERERS) - {"deepseek3.1", "qwen3.8"}))
def test_a_conversation_of_instructions_alone_lets_the_model_speak(family: str) -> None:
    """Clients that only set the scene get an answer, not the end of a turn."""
    asked, told = prompt(family, SYSTEM, USER), prompt(family, SYSTEM)

    assert told[-12:] == asked[-12:]


@pytest.mark.parametrize("family", sorted(set(RENDERERS) - {"cohere"}))
def test_a_prompt_begins_with_what_the_tokenizer_may_add_as_well(family: str) -> None:
    """Where it does, the one is taken off that `bos` names; Cohere's is only ever the other."""
    assert prompt(family, USER).startswith(RENDERERS[family].bos)


def test_one_family_needs_a_question() -> None:
    for messages, problem in (
        ((), "no messages provided"),
        ((SYSTEM,), "no user query found in messages"),
        ((Message("system", "S", images=(b"x",)), USER), "system message cannot contain images"),
    ):
        with pytest.raises(TemplateError, match=problem):
            prompt("qwen3.8", *messages)


def test_the_end_of_a_long_conversation_needs_no_question() -> None:
    """Where only the latest work of the model fits, it goes on with that."""
    assert prompt("qwen3.8", SYSTEM, answer("", CALL), RESULT).endswith(
        "<tool_response>\nR\n</tool_response><|im_end|>\n<|im_start|>assistant\n<think>\n"
    )
