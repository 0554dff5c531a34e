"""What is particular about each family: thoughts that are kept, results in a row, instructions."""

from datetime import date

import pytest

from server.prompt.messages import Message, Think, ToolCall
from server.prompt.renderers.glimmer import Glimmer
from server.prompt.renderers.table import RENDERERS, gemma4_size
from tests.support.conversations import CALL, MORE, SYSTEM, TOOL, USER, answer, prompt

Q = "<|im_start|>user\nQ<|im_end|>\n"
ASSISTANT = "<|im_start|>assistant\n"
FIRST, SECOND = (ToolCall(id, 0, id, {}) for id in ("c1", "c2"))
RESULTS = (Message("tool", "1", tool_call_id="c1"), Message("tool", "2", tool_call_id="c2"))


@pytest.mark.parametrize(
    ("family", "text"),
    [
        (
            "cogito",
            (
                "<｜tool▁outputs▁begin｜><｜tool▁output▁begin｜>1<｜tool▁output▁end｜>\n"
                "<｜tool▁output▁begin｜>2<｜tool▁output▁end｜><｜tool▁outputs▁end｜>"
            ),
        ),
        ("cohere", '"is_error": null\n    },\n    {\n        "tool_call_id": "1",\n'),
        ("deepseek3.1", "1<｜tool▁output▁end｜><｜tool▁output▁begin｜>2<｜tool▁output▁end｜>"),
        (
            "functiongemma",
            (
                "<start_function_response>response:c1{<escape>1<escape>}<end_function_response>"
                "<start_function_response>response:c2{<escape>2<escape>}<end_function_response>"
            ),
        ),
        (
            "gemma4-small",
            (
                '<|tool_response>response:c1{value:<|"|>1<|"|>}<tool_response|>'
                '<|tool_response>response:c2{value:<|"|>2<|"|>}<tool_response|>'
            ),
        ),
        ("glimmer", '<tool_output name="c1">\n1\n</tool_output><|eot|><|start|>tool c2<|message|>'),
        (
            "glm-4.7",
            "<|observation|><tool_response>1</tool_response><tool_response>2</tool_response>",
        ),
        ("glm-ocr", "<|observation|>\n<tool_response>\n1\n</tool_response>\n\n<tool_response>\n2"),
        ("laguna", "<tool_response>\n1\n</tool_response>\n<tool_response>\n2\n</tool_response>\n"),
        ("lfm2", "1<|tool_response_end|><|im_end|>\n<|im_start|>tool\n<|tool_response_start|>2"),
        (
            "nemotron-3-nano",
            (
                "<|im_start|>user\n<tool_response>\n1\n</tool_response>\n"
                "<tool_response>\n2\n</tool_response>\n<|im_end|>\n"
            ),
        ),
        ("olmo3", "environment\n1<|im_end|>\n<|im_start|>environment\n2<|im_end|>\n"),
        ("poolside-v1", "<tool_response>1</tool_response>\n<tool_response>2</tool_response>\n"),
        (
            "qwen3-coder",
            (
                "<|im_start|>user\n<tool_response>\n1\n</tool_response>\n"
                "<tool_response>\n2\n</tool_response><|im_end|>\n"
            ),
        ),
        (
            "qwen3-vl-instruct",
            (
                "<|im_start|>user\n<tool_response>\n1\n</tool_response>\n"
                "<tool_response>\n2\n</tool_response><|im_end|>\n"
            ),
        ),
        ("qwen3.5", "1\n</tool_response>\n<tool_response>\n2\n</tool_response><|im_end|>\n"),
    ],
)
def test_results_in_a_row_belong_to_the_calls_in_their_order(family: str, text: str) -> None:
    assert text in prompt(family, USER, answer("", FIRST, SECOND), *RESULTS, MORE)


@pytest.mark.parametrize(
    ("family", "text"),
    [
        ("cogito", "Q<｜Assistant｜>A<｜tool▁calls▁begin｜>"),
        ("deepseek3.1", "Q<｜Assistant｜></think>A<｜tool▁calls▁begin｜>"),
        ("functiongemma", "<start_of_turn>model\nA<start_function_call>call:get_weather"),
        ("gemma4-small", "<tool_call|><|tool_response>"),
        ("glm-4.7", "<|assistant|></think>A<tool_call>get_weather"),
        ("glm-ocr", "<think></think>\nA\n<tool_call>get_weather"),
        ("lfm2", "<|tool_call_end|>A<|im_end|>"),
        ("nemotron-3-nano", "<think></think>A\n<tool_call>\n<function=get_weather>"),
        ("olmo3", "assistant\nA<function_calls>get_weather("),
        ("qwen3-coder", "assistant\nA\n\n<tool_call>\n"),
        ("qwen3-vl-instruct", "assistant\nA\n<tool_call>\n"),
        ("qwen3.5", "A\n\n<tool_call>\n"),
    ],
)
def test_what_is_said_beside_a_call_keeps_its_place(family: str, text: str) -> None:
    shown = prompt(family, USER, answer("A", CALL), Message("tool", "R", tool_call_id="c1"), MORE)

    assert text in shown


OLD = (USER, answer("A", thinking="T"), MORE)


@pytest.mark.parametrize(
    ("family", "think", "text"),
    [
        ("cohere", True, "<|START_THINKING|>T<|END_THINKING|><|START_TEXT|>A<|END_TEXT|>"),
        ("deepseek3.1", True, "<｜Assistant｜></think>A<｜end▁of▁sentence｜>"),
        ("gemma4-large", True, "<|turn>model\nA<turn|>"),
        ("glimmer", False, "<|start|>assistant to=self<|message|>T<|eom|>"),
        ("glm-4.7", False, "<think>T</think>A"),
        ("laguna", False, "<assistant>\n<think>\nT\n</think>\nA\n</assistant>\n"),
        ("lfm2", True, "assistant\nA<|im_end|>"),
        ("lfm2-thinking", True, "<think>T</think>A"),
        ("nemotron-3-nano", True, "assistant\n<think></think>\nA<|im_end|>"),
        ("nemotron-3.5-nano", True, "assistant\n<think></think>A<|im_end|>"),
        ("ornith", False, "<think>\nT\n</think>\n\nA"),
        ("poolside-v1", True, "<assistant><think>T</think>A</assistant>\n"),
        ("poolside-v1", False, "<assistant></think>A</assistant>\n"),
        ("qwen3-vl-thinking", True, "assistant\nA<|im_end|>"),
        ("qwen3.5", True, "assistant\nA<|im_end|>"),
        ("qwen3.8", False, "<think>\nT\n</think>\n\nA"),
    ],
)
def test_thoughts_of_earlier_exchanges_are_kept_or_left_out(
    family: str, think: Think, text: str
) -> None:
    assert text in prompt(family, *OLD, think=think)


@pytest.mark.parametrize(
    ("family", "content", "text"),
    [
        ("deepseek3.1", "<think>T</think>A", "</think>A<｜end▁of▁sentence｜>"),
        ("gemma4-small", "<|channel>thought\nT<channel|>A", "<|turn>model\nA<turn|>"),
        ("gemma4-small", "A<|channel>never closed", "<|turn>model\nA<turn|>"),
        ("nemotron-3-nano", "<think>T</think>A", "assistant\n<think></think>A<|im_end|>"),
        ("nemotron-3-nano", "A</think>B", "assistant\nA</think>B<|im_end|>"),
        ("qwen3.5", "<think>\nT\n</think>\n\nA", "assistant\nA<|im_end|>"),
        ("ornith", "<think>\nT\n</think>\n\nA", "<think>\nT\n</think>\n\nA<|im_end|>"),
        ("qwen3.8", "<think>T</think>A", "<think>\n\n</think>\n\n<think>T</think>A"),
    ],
)
def test_a_thought_within_the_content_is_known_as_one(family: str, content: str, text: str) -> None:
    """Clients that know of no thinking send back all that they got; one family wants it so."""
    assert text in prompt(family, USER, answer(content), MORE)


@pytest.mark.parametrize(("family", "kept"), [("lfm2", False), ("lfm2-thinking", True)])
def test_only_the_last_answer_keeps_its_thought_unless_all_do(family: str, kept: bool) -> None:
    turns = (USER, answer("<think>1</think> A"), USER, answer("<think>2</think>B"), MORE)

    shown = prompt(family, *turns, think=True)

    assert ("<think>1</think> A" in shown, "<think>2</think>B" in shown) == (kept, True)
    assert "assistant\nA<|im_end|>" in prompt(family, *turns, think=False)


@pytest.mark.parametrize(
    ("family", "text"),
    [
        ("deepseek3.1", "<｜begin▁of▁sentence｜>S\n\nS2<｜User｜>"),
        ("glm-4.7", "<|user|>Q<|system|>S2"),
        ("laguna", "</user>\n<system>\nS2\n</system>\n"),
        ("lfm2", Q + "<|im_start|>system\nS2<|im_end|>\n"),
        ("qwen3.5", Q + "<|im_start|>system\nS2<|im_end|>\n"),
        ("qwen3-vl-instruct", Q + "<|im_start|>system\nS2<|im_end|>\n"),
        ("cohere", "<|SYSTEM_TOKEN|><|START_TEXT|>S2<|END_TEXT|>"),
        ("qwen3.8", "S\n\nS2<|im_end|>\n" + Q),
    ],
)
def test_later_instructions_stay_where_they_are_or_join_the_first(family: str, text: str) -> None:
    assert text in prompt(family, SYSTEM, USER, Message("system", "S2"), MORE)


@pytest.mark.parametrize("family", ["qwen3-coder", "olmo3", "olmo3-think"])
def test_some_families_know_only_one_instruction(family: str) -> None:
    shown = prompt(family, SYSTEM, USER, Message("system", "S2"))

    assert "system\nS" in shown
    assert "S2" not in shown


@pytest.mark.parametrize("family", ["functiongemma", "gemma4-small", "qwen3.8"])
def test_a_developer_instructs_like_the_system(family: str) -> None:
    assert prompt(family, Message("developer", "S"), USER) == prompt(family, SYSTEM, USER)


@pytest.mark.parametrize("family", sorted(RENDERERS))
def test_letters_and_marks_of_any_script_reach_the_model_unchanged(family: str) -> None:
    text = 'héllo <b>&amp;</b> "日本語" 🌍\u2028\''

    assert text in prompt(family, Message("system", text), Message("user", text), answer(text))
    assert prompt(family, Message("user", text)).count(text) == 1


def test_deepseek_closes_a_thought_before_the_answer_that_it_led_to() -> None:
    shown = prompt("deepseek3.1", USER, answer("A", thinking="T"), think=True)

    assert shown.endswith("<｜Assistant｜><think>T</think>A<｜end▁of▁sentence｜>")


@pytest.mark.parametrize(
    ("think", "sentence"),
    [
        (None, "Reasoning effort is set to xhigh. Please think carefully through the task, "),
        ("high", "Reasoning effort is set to xhigh. Please think carefully through the task, "),
        ("max", "Reasoning effort is set to xhigh. Please think carefully through the task, "),
        ("low", "Reasoning effort is set to low. Keep your thinking brief and focused, "),
        ("medium", ""),
        (True, ""),
        (False, ""),
    ],
)
def test_qwen_is_told_how_much_to_think(think: Think | None, sentence: str) -> None:
    system = "<|im_start|>system\n"

    assert prompt("qwen3.8", USER, think=think).startswith(system + sentence if sentence else Q)
    assert ("\n\nS<|im_end|>" in prompt("qwen3.8", SYSTEM, USER, think=think)) == bool(sentence)


def test_a_question_is_not_a_result_that_a_client_wrapped_itself() -> None:
    """Thoughts since the user's last question are kept: agents answer as the user too."""
    wrapped = Message("user", "<tool_response>R</tool_response>")
    turns = (USER, answer("A", thinking="T"), wrapped)

    for family in ("qwen3.5", "qwen3-vl-thinking"):
        assert "<think>\nT\n</think>\n\nA" in prompt(family, *turns, think=True)


@pytest.mark.parametrize(
    ("texts", "thinks"),
    [
        (("Q /no_think",), False),
        (("Q /think",), True),
        (("/no_think", "/think"), True),
        (("/think", "/no_think"), False),
        (("</think>",), None),
    ],
)
def test_nemotron_3_is_switched_by_what_is_said(
    texts: tuple[str, ...], thinks: bool | None
) -> None:
    """The newer model takes such a switch for text."""
    for asked in (True, False):
        shown = prompt("nemotron-3-nano", *(Message("user", t) for t in texts), think=asked)
        assert shown.endswith("<think>\n") is (asked if thinks is None else thinks)
        assert "/no_think" not in shown
    newer = prompt("nemotron-3.5-nano", *(Message("user", t) for t in texts), think=True)
    assert all(text in newer for text in texts)
    assert newer.endswith("<think>\n")


def test_nemotron_3_5_knows_how_to_hurry() -> None:
    shown = prompt("nemotron-3.5-nano", USER, answer("A"), MORE, think="medium")

    assert Q in shown
    assert "more\n\n{reasoning effort: efficient}<|im_end|>" in shown
    assert "efficient" not in prompt("nemotron-3-nano", USER, think="medium")


@pytest.mark.parametrize(
    ("think", "strength"),
    [(None, "high"), (True, "high"), (False, "none"), ("low", "low"), ("max", "max")],
)
def test_glimmer_is_told_the_date_and_how_much_to_think(think: Think | None, strength: str) -> None:
    shown = Glimmer(today=lambda: date(2026, 3, 4)).render([USER], [], think)

    assert shown.startswith(
        "<|begin_of_text|><|start|>system<|message|>You are a helpful AI assistant.\n"
        "Knowledge cutoff: 2026-01-04.\nCurrent date: 2026-03-04.\n\n"
        f"Reasoning strength: {strength}."
    )


def test_glimmer_keeps_a_strength_that_the_client_names() -> None:
    shown = prompt("glimmer", Message("system", "Reasoning effort: tiny."), USER, think=True)

    assert "Reasoning strength: tiny.\n\n# Valid" in shown


def test_glimmer_names_a_result_by_its_call() -> None:
    named = Message("tool", "R", tool_name="n", tool_call_id="c1")
    unknown = Message("tool", "R", tool_call_id="c9")

    shown = prompt("glimmer", USER, answer("", CALL), named, unknown)

    assert "<|start|>tool n<|message|>" in shown
    assert "<|start|>tool c9<|message|>" in shown


@pytest.mark.parametrize(
    ("result", "name"),
    [
        (Message("tool", "R", tool_call_id="c1"), "get_weather"),
        (Message("tool", "R", tool_name="n"), "n"),
        (Message("tool", "R", tool_name="n", tool_call_id="c9"), "n"),
        (Message("tool", "R"), "unknown"),
    ],
)
def test_gemma_names_a_result_by_its_call_or_by_what_it_says(result: Message, name: str) -> None:
    assert f"response:{name}{{" in prompt("gemma4-small", USER, answer("", CALL), result)


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ((USER, answer("A"), answer("B")), "<|turn>model\nAB<turn|>\n<|turn>model\n"),
        ((USER, answer("", CALL)), "<tool_call|><|tool_response>"),
        (
            (USER, answer("A", CALL), Message("tool", "R"), answer("B"), MORE),
            "<tool_response|>AB<turn|>\n<|turn>user\nmore",
        ),
    ],
)
def test_gemma_goes_on_with_a_turn_of_its_own(messages: tuple[Message, ...], text: str) -> None:
    assert text in prompt("gemma4-small", *messages)


@pytest.mark.parametrize(
    ("name", "n_parameters", "size"),
    [
        ("gemma4:e2b", 99_000_000_000, "gemma4-small"),
        ("hf.co/x/Gemma-4-E4B-it", 0, "gemma4-small"),
        ("gemma4:12b", 0, "gemma4-large"),
        ("gemma4:26b", 0, "gemma4-large"),
        ("gemma4-31B", 0, "gemma4-large"),
        ("mine", 11_999_999_999, "gemma4-small"),
        ("mine", 12_000_000_000, "gemma4-large"),
    ],
)
def test_gemma_is_large_by_its_name_or_its_size(name: str, n_parameters: int, size: str) -> None:
    assert gemma4_size(name, n_parameters) == size


def test_cohere_numbers_calls_through_the_whole_conversation() -> None:
    again = ToolCall("c3", 0, "f", {})
    result = Message("tool", "3", tool_call_id="c3")

    shown = prompt("cohere", USER, answer("", FIRST, SECOND), *RESULTS, answer("", again), result)

    assert [f'"tool_call_id": "{i}", "tool_name"' in shown for i in range(4)] == [True] * 3 + [
        False
    ]
    assert '"tool_call_id": "2",\n        "results"' in shown


def test_text_that_functiongemma_is_used_to_is_not_said_twice() -> None:
    usual = Message("system", "You can do function calling with the following functions:")

    assert prompt("functiongemma", usual, USER, tools=[TOOL]).count(usual.content) == 1


def test_functiongemma_lets_whoever_follows_a_result_go_on_in_its_turn() -> None:
    result = Message("tool", "4 C")

    shown = prompt("functiongemma", USER, answer("", CALL), result, MORE)

    assert shown.endswith("<end_function_response>more<end_of_turn>\n<start_of_turn>model\n")
    assert prompt("functiongemma", USER, answer("", CALL), result).endswith(
        "<end_function_response>"
    )
