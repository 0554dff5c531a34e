"""Each family shows a call, its result and the thought before it as its models learnt them."""

import pytest

from server.prompt.messages import Think
from server.prompt.renderers.table import RENDERERS
from tests.support.conversations import HISTORY, prompt

CHATML = "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n"
XML = (
    "<tool_call>\n<function=get_weather>\n<parameter=city>\nP\n</parameter>\n"
    "<parameter=n>\n1e+06\n</parameter>\n</function>\n</tool_call>"
)
RESULT = (
    "<|im_end|>\n<|im_start|>user\n<tool_response>\nR\n</tool_response><|im_end|>\n"
    "<|im_start|>assistant\n"
)
LINE = (
    '<tool_call>\n{"name": "get_weather", "arguments": {"city": "P", "n": 1000000}}\n</tool_call>'
)
GEMMA = (
    "<turn|>\n<|turn>user\nQ<turn|>\n<|turn>model\n<|channel>thought\nT\n<channel|>"
    '<|tool_call>call:get_weather{city:<|"|>P<|"|>,n:1000000}<tool_call|>'
    '<|tool_response>response:get_weather{value:<|"|>R<|"|>}<tool_response|>'
)
DEEPSEEK = (
    "<｜begin▁of▁sentence｜>S<｜User｜>Q<｜Assistant｜></think><｜tool▁calls▁begin｜>"
    '<｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{"city":"P","n":1000000}<｜tool▁call▁end｜>'
    "<｜tool▁calls▁end｜><｜end▁of▁sentence｜><｜tool▁output▁begin｜>R<｜tool▁output▁end｜>"
)
COGITO = (
    "You are Cogito, an AI assistant created by Deep Cogito, which is an AI research lab based in "
    "San Francisco.\n\nS"
)
COGITO_CALL = (
    "<｜User｜>Q<｜Assistant｜><｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>"
    'get_weather\n```json\n{"city":"P","n":1000000}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>'
    "<｜end▁of▁sentence｜><｜tool▁outputs▁begin｜><｜tool▁output▁begin｜>R<｜tool▁output▁end｜>"
    "<｜tool▁outputs▁end｜><｜Assistant｜>"
)
GLM_CALL = (
    "<tool_call>get_weather<arg_key>city</arg_key><arg_value>P</arg_value>"
    "<arg_key>n</arg_key><arg_value>1000000</arg_value></tool_call>"
)
GLM = (
    f"[gMASK]<sop><|system|>S<|user|>Q<|assistant|><think>T</think>{GLM_CALL}"
    "<|observation|><tool_response>R</tool_response><|assistant|>"
)
GLM_OCR = (
    f"<|assistant|>\n<think>T</think>\n{GLM_CALL}\n"
    "<|observation|>\n<tool_response>\nR\n</tool_response>\n<|assistant|>\n"
)
FUNCTION_GEMMA = (
    "<bos><start_of_turn>developer\nS<end_of_turn>\n<start_of_turn>user\nQ<end_of_turn>\n"
    "<start_of_turn>model\n<start_function_call>call:get_weather{city:<escape>P<escape>,n:1000000}"
    "<end_function_call><start_function_response>response:get_weather{<escape>R<escape>}"
    "<end_function_response>"
)
NEMOTRON = (
    f"<tool_call>{XML.removeprefix('<tool_call>')}\n<|im_end|>\n<|im_start|>user\n"
    "<tool_response>\nR\n</tool_response>\n<|im_end|>\n<|im_start|>assistant\n"
)
OLMO = (
    f'{CHATML}<function_calls>get_weather(city="P", n=1000000)</function_calls><|im_end|>\n'
    "<|im_start|>environment\nR<|im_end|>\n<|im_start|>assistant\n"
)
OLMO_THINK = (
    "<|im_start|>system\nS You do not currently have access to any functions. "
    "<functions></functions><|im_end|>\n<|im_start|>user\nQ<|im_end|>\n"
    "<|im_start|>assistant\n<|im_end|>\n<|im_start|>assistant\n<think>"
)
LFM_CALL = (
    '<|tool_call_start|>[get_weather(city="P",n=1000000)]<|tool_call_end|><|im_end|>\n'
    "<|im_start|>tool\n<|tool_response_start|>R<|tool_response_end|><|im_end|>\n"
    "<|im_start|>assistant\n"
)
LAGUNA = (
    "〈|EOS|〉<system>\n\nS\n</system>\n<user>\nQ\n</user>\n<assistant>\n<think>\nT\n</think>\n"
    "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>P</arg_value>\n"
    "<arg_key>n</arg_key>\n<arg_value>1e+06</arg_value>\n</tool_call>\n</assistant>\n"
    "<tool_response>\nR\n</tool_response>\n<assistant>\n"
)
COHERE = (
    "<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|><|START_TEXT|>S\n\n\n\n# Available Tools\n"
    "```json\n[\n\n\n\n]\n```<|END_TEXT|><|END_OF_TURN_TOKEN|>"
    "<|START_OF_TURN_TOKEN|><|USER_TOKEN|><|START_TEXT|>Q<|END_TEXT|><|END_OF_TURN_TOKEN|>"
    "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>\n            \n                "
    "<|START_THINKING|>T<|END_THINKING|><|START_ACTION|>[\n\n"
    '    {"tool_call_id": "0", "tool_name": "get_weather", "parameters": {"city": "P", '
    '"n": 1000000}}\n\n]<|END_ACTION|><|END_OF_TURN_TOKEN|>'
    "<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|><|START_TOOL_RESULT|>[\n    {\n"
    '        "tool_call_id": "0",\n        "results": {\n\n            \n'
    '            "0": {"content": "R"}\n\n        },\n        "is_error": null\n    }\n\n'
    "]<|END_TOOL_RESULT|><|END_OF_TURN_TOKEN|>"
    "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|><|START_THINKING|>"
)
GLIMMER = (
    '.\n\n# Valid recipients: "self", "user".<|eot|><|start|>user<|message|>Q<|eot|>'
    "<|start|>assistant to=self<|message|>T<|eom|><|start|>assistant to=get_weather<|message|>"
    '<atem:function_calls>\n<atem:invoke name="get_weather">\n'
    '<atem:parameter name="city">P</atem:parameter>\n'
    '<atem:parameter name="n">1e+06</atem:parameter>\n</atem:invoke>\n</atem:function_calls><|eot|>'
    '<|start|>tool get_weather<|message|><tool_output name="get_weather">\nR\n</tool_output><|eot|>'
    "<|start|>assistant"
)
THOUGHT, NO_THOUGHT = "<think>\n", "<think>\n\n</think>\n\n"
WITH_THOUGHT = f"{CHATML}<think>\nT\n</think>\n\n{XML}{RESULT}"

PROMPTS: list[tuple[str, Think | None, str]] = [
    ("cogito", False, f"<｜begin▁of▁sentence｜>{COGITO}{COGITO_CALL}"),
    (
        "cogito",
        True,
        (
            "<｜begin▁of▁sentence｜>Enable deep thinking subroutine.\n\n"
            f"{COGITO}\n\n{COGITO_CALL}<think>\n"
        ),
    ),
    ("cohere", True, COHERE),
    ("cohere", False, COHERE + "<|END_THINKING|>"),
    ("deepseek3.1", False, DEEPSEEK),
    ("deepseek3.1", True, DEEPSEEK),
    ("functiongemma", None, FUNCTION_GEMMA),
    (
        "gemma4-large",
        True,
        f"<bos><|turn>system\n<|think|>\nS{GEMMA}<|channel>thought\n",
    ),
    ("gemma4-large", False, f"<bos><|turn>system\nS{GEMMA}"),
    ("gemma4-small", None, f"<bos><|turn>system\nS{GEMMA}"),
    (
        "glimmer",
        True,
        "<|begin_of_text|><|start|>system<|message|>S\n\nReasoning strength: high" + GLIMMER,
    ),
    (
        "glimmer",
        False,
        "<|begin_of_text|><|start|>system<|message|>S\n\nReasoning strength: none" + GLIMMER,
    ),
    ("glm-4.7", True, GLM + "<think>"),
    ("glm-4.7", False, GLM + "</think>"),
    ("glm-ocr", True, "[gMASK]<sop><|system|>\nS\n<|user|>\nQ" + GLM_OCR),
    (
        "glm-ocr",
        False,
        f"[gMASK]<sop><|system|>\nS\n<|user|>\nQ/nothink{GLM_OCR}<think></think>\n",
    ),
    ("laguna", True, LAGUNA + "<think>"),
    ("laguna", False, LAGUNA + "</think>"),
    ("lfm2", None, f"<|startoftext|>{CHATML}{LFM_CALL}"),
    ("lfm2-thinking", True, f"<|startoftext|>{CHATML}<think>T</think>{LFM_CALL}"),
    ("nemotron-3-nano", True, f"{CHATML}<think>\nT\n</think>\n{NEMOTRON}<think>\n"),
    ("nemotron-3-nano", False, f"{CHATML}<think>\nT\n</think>\n{NEMOTRON}<think></think>"),
    ("nemotron-3.5-nano", True, f"{CHATML}<think>\nT</think>\n{NEMOTRON}<think>\n"),
    ("olmo3", None, OLMO),
    ("olmo3.1", None, OLMO),
    ("olmo3-think", True, OLMO_THINK),
    ("olmo3-32b-think", False, OLMO_THINK),
    ("ornith", True, WITH_THOUGHT + THOUGHT),
    ("ornith", False, WITH_THOUGHT + NO_THOUGHT),
    (
        "poolside-v1",
        True,
        (
            "〈|EOS|〉<system>S</system>\n<user>Q</user>\n<assistant><think>T</think>"
            f"{GLM_CALL}</assistant>\n<tool_response>R</tool_response>\n<assistant><think>"
        ),
    ),
    (
        "poolside-v1",
        False,
        (
            "〈|EOS|〉<system>S</system>\n<user>Q</user>\n<assistant></think>"
            f"{GLM_CALL}</assistant>\n<tool_response>R</tool_response>\n<assistant></think>"
        ),
    ),
    ("qwen3-coder", None, f"{CHATML}\n{XML}{RESULT}"),
    ("qwen3-vl-instruct", None, f"{CHATML}{LINE}{RESULT}"),
    ("qwen3-vl-thinking", True, f"{CHATML}<think>\nT{LINE}{RESULT}<think>\n"),
    ("qwen3-vl-thinking", False, f"{CHATML}<think>\nT{LINE}{RESULT}<think>\n"),
    ("qwen3.5", True, WITH_THOUGHT + THOUGHT),
    ("qwen3.5", False, f"{CHATML}{XML}{RESULT}{NO_THOUGHT}"),
    ("qwen3.8", True, WITH_THOUGHT + THOUGHT),
    ("qwen3.8", False, WITH_THOUGHT + NO_THOUGHT),
]


@pytest.mark.parametrize(("family", "think", "expected"), PROMPTS)
def test_a_call_and_its_result_are_shown_as_the_family_knows_them(
    family: str, think: Think | None, expected: str
) -> None:
    """Numbers among bare arguments print as Go prints them, as the reference server does."""
    assert prompt(family, *HISTORY, think=think) == expected


def test_every_family_is_shown_the_history() -> None:
    assert {family for family, _, _ in PROMPTS} == set(RENDERERS)
