"""What a model writes that has no template but the Jinja one in its file."""

import pytest

from server.parsing.format_detection import detect_format
from server.parsing.output_format import GenerationStart
from tests.support.parsing import TOOLS, Output, output
from tests.support.templates import PLAIN, TEMPLATES

PARIS = ("get_weather", {"city": "P"})
JSON = '{"name": "get_weather", "arguments": {"city": "P"}}'
CITY = "<parameter=city>\nP\n</parameter>"
FUNCTION = f"<function=get_weather>\n{CITY}\n</function>"
SEP, CALL, CALL_END = "<｜tool▁sep｜>", "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>"
PAIR = "<arg_key>city</arg_key>\n<arg_value>P</arg_value>"
ATEM = (
    '<atem:function_calls>\n<atem:invoke name="get_weather">\n<atem:parameter name="city">P'
    "</atem:parameter>\n</atem:invoke>\n</atem:function_calls>"
)
DSML = (
    '<｜DSML｜SECTION>\n<｜DSML｜invoke name="get_weather">\n'
    '<｜DSML｜parameter name="city" string="true">P</｜DSML｜parameter>\n'
    "</｜DSML｜invoke>\n</｜DSML｜SECTION>"
)
K3_CITY = '<|open|>argument key="city" type="string"<|sep|>P<|close|>argument<|sep|>'
K3_CALL = (
    '<|open|>tools<|sep|><|open|>call tool="get_weather" index="1"<|sep|>'
    f"{K3_CITY}<|close|>call<|sep|><|close|>tools<|sep|><|close|>message<|sep|><|end_of_msg|>"
)
MINIMAX = "]<]minimax[>["
M3_CALL = (
    f'{MINIMAX}<tool_call>\n{MINIMAX}<invoke name="get_weather">{MINIMAX}<city>P'
    f"{MINIMAX}</city>{MINIMAX}</invoke>\n{MINIMAX}</tool_call>"
)
HUNYUAN_CALL = (
    "<tool_calls:open>\n<tool_call:open>get_weather<tool_sep:open>\n<arg_key:open>city"
    "</arg_key:open>\n<arg_value:open>P</arg_value:open>\n</tool_call:open>\n</tool_calls:open>"
)
SOLAR_CALL = (
    "<|tool_calls|><|tool_call:begin|>k3x9<|tool_call:name|>get_weather<|tool_call:args|>"
    '{"city": "P"}<|tool_call:end|><|calls|>'
)
TEXTS = {
    "hermes": f"<tool_call>\n{JSON}\n</tool_call>",
    "qwen3": f"<tool_call>\n{JSON}\n</tool_call>",
    "qwen3-coder": f"<tool_call>\n{FUNCTION}\n</tool_call>",
    "glm": f"<tool_call>get_weather\n{PAIR}\n</tool_call>",
    "deepseek-r1": f'{CALL}function{SEP}get_weather\n```json\n{{"city": "P"}}\n```{CALL_END}',
    "deepseek-v3.1": f'{CALL}get_weather{SEP}{{"city": "P"}}{CALL_END}',
    "lfm2": "<|tool_call_start|>[get_weather(city='P')]<|tool_call_end|>",
    "olmo3": '<function_calls>get_weather(city="P")</function_calls>',
    "nemotron-nano-2": f"<TOOLCALL>[{JSON}]</TOOLCALL>",
    "phi-4-mini": f"<|tool_call|>{JSON}<|/tool_call|>",
    "seed-oss": f"<seed:tool_call>\n{FUNCTION}\n</seed:tool_call>",
    "minimax-m2": '<minimax:tool_call>\n<invoke name="get_weather">\n<parameter name="city">P'
    "</parameter>\n</invoke>\n</minimax:tool_call>",
    "granite-3": f"<|tool_call|>[{JSON}]",
    "granite-3.2": f"<|tool_call|>[{JSON}]",
    "llama-3": '{"name": "get_weather", "parameters": {"city": "P"}}',
    "mistral": f"[TOOL_CALLS] [{JSON}]",
    "magistral": '[TOOL_CALLS]get_weather[ARGS]{"city": "P"}',
    "command-r": 'Action: ```json\n[{"tool_name": "get_weather", "parameters": {"city": "P"}}]```',
    "command-a": '<|START_ACTION|>[{"tool_name": "get_weather", "parameters": {"city": "P"}}]'
    "<|END_ACTION|>",
    "gpt-oss": '<|channel|>commentary to=functions.get_weather<|message|>{"city": "P"}',
    "gemma-4": '<|tool_call>call:get_weather{city:<|"|>P<|"|>}<tool_call|>',
    "functiongemma": "<start_function_call>call:get_weather{city:<escape>P<escape>}"
    "<end_function_call>",
    "glimmer": f" to=get_weather<|message|>{ATEM}<|eot|>",
    "kimi-k2": "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0"
    '<|tool_call_argument_begin|>{"city": "P"}<|tool_call_end|><|tool_calls_section_end|>',
    "deepseek-v3.2": DSML.replace("SECTION", "function_calls"),
    "deepseek-v4": DSML.replace("SECTION", "tool_calls"),
    "lfm2-list": "<|tool_call_start|>[get_weather(city='P')]<|tool_call_end|>",
    "lfm2.5": "<|tool_call_start|>[get_weather(city='P')]<|tool_call_end|>",
    "phi-4-mini-instruct": f"<|tool_call|>[{JSON}]<|/tool_call|>",
    "minicpm-5": '<function name="get_weather"><param name="city"><![CDATA[P]]></param></function>',
    "functionary-3.1": '<function=get_weather>{"city": "P"}</function>',
    "apriel": f"<tool_calls>[{JSON}]</tool_calls>",
    "apertus": '<|tools_prefix|>[{"get_weather": {"city": "P"}}]<|tools_suffix|>',
    "gigachat-3.1": f"<|function_call|>{JSON}",
    "command-r-plus": "Action:\n```json\n"
    '[{"tool_name": "get_weather", "parameters": {"city": "P"}}]```',
    "gigachat-3": f"<|message_sep|>\n\nfunction call<|role_sep|>\n{JSON}<|message_sep|>\n\n",
    "kimi-k3": f"<|open|>response<|sep|><|close|>response<|sep|>{K3_CALL}",
    "minimax-m1": f"<tool_calls>\n{JSON}\n</tool_calls>",
    "minimax-m3": f"</mm:think>{M3_CALL}",
    "hunyuan-3": HUNYUAN_CALL,
    "solar-open": SOLAR_CALL,
    "functionary-3.2": 'get_weather\n{"city": "P"}',
    "firefunction": f" functools[{JSON}]",
    "unknown": JSON,
}
THOUGHTS = {
    "qwen3": ("<think>", "</think>"),
    "glm": ("<think>", "</think>"),
    "deepseek-r1": ("<think>", "</think>"),
    "deepseek-v3.1": ("<think>", "</think>"),
    "nemotron-nano-2": ("<think>", "</think>"),
    "seed-oss": ("<seed:think>", "</seed:think>"),
    "granite-3.2": ("Here is my thought process:", "Here is my response:"),
    "magistral": ("[THINK]", "[/THINK]"),
    "deepseek-v3.2": ("<think>", "</think>"),
    "apertus": ("<|inner_prefix|>", "<|inner_suffix|>"),
    "command-a": ("<|START_THINKING|>", "<|END_THINKING|>"),
    "gemma-4": ("<|channel>thought\n", "<channel|>"),
    "kimi-k3": ("<|open|>think<|sep|>", "<|close|>think<|sep|><|open|>response<|sep|>"),
    "minimax-m1": ("<think>", "</think>"),
    "minimax-m3": ("<mm:think>", "</mm:think>"),
    "hunyuan-3": ("<think:open>", "</think:open>"),
    "solar-open": ("<|think|>", "<|end|><|begin|>assistant<|content|>"),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_calls_of_a_template_are_understood(name) -> None:
    family = detect_format(TEMPLATES[name])

    found = output(family.create_parser(GenerationStart(tools=TOOLS, think=True)), [TEXTS[name]])

    assert family.tools
    assert found == Output(calls=[PARIS])


@pytest.mark.parametrize("name", THOUGHTS)
def test_the_thinking_of_a_template_is_understood(name) -> None:
    family, (opening, closing) = detect_format(TEMPLATES[name]), THOUGHTS[name]

    assert family.thinking
    for generation, text in (
        (GenerationStart(tools=TOOLS, think=True), f"{opening}a{closing}b"),
        (GenerationStart(tools=TOOLS, think=True, prompt=f"…{opening}\n"), f"a{closing}\nb"),
    ):
        assert output(family.create_parser(generation), text) == Output("b", "a")


@pytest.mark.parametrize("name", PLAIN)
def test_a_template_in_which_nothing_is_known_makes_everything_content(name) -> None:
    family = detect_format(PLAIN[name])
    text = f" <think>a</think><tool_call>{JSON}</tool_call> "

    assert (family.tools, family.thinking) == (False, False)
    assert output(family.create_parser(GenerationStart(tools=TOOLS, think=True)), text) == Output(
        text.rstrip()
    )


@pytest.mark.parametrize("name", ["unknown", "llama-3"])
def test_json_that_is_no_call_is_an_answer(name) -> None:
    """Where calls have no marks, only the name of a declared tool makes one."""
    start = detect_format(TEMPLATES[name]).create_parser

    for text in ('{"name": "Ada", "parameters": {}}', '{"city": "P"}', "{", f"See {JSON}"):
        assert output(start(GenerationStart(tools=TOOLS)), text) == Output(text)


def test_llama_calls_several_tools_and_says_so_in_two_ways() -> None:
    get = '{"name": "get", "parameters": {}}'
    text = f"<|python_tag|>{get}; {get}\nafter; all"

    found = output(
        detect_format(TEMPLATES["llama-3"]).create_parser(GenerationStart(tools=TOOLS)), text
    )

    assert found == Output("after; all", calls=[("get", {}), ("get", {})])


@pytest.mark.parametrize("text", ['<|tool_call|>[{"name": "get"}]</tool_call> b', "<|tool_call|>b"])
def test_granite_may_close_a_call_or_write_none(text) -> None:
    found = output(
        detect_format(TEMPLATES["granite-3"]).create_parser(GenerationStart(tools=TOOLS)), text
    )

    assert found in (Output("b", calls=[("get", {})]), Output(text))
