"""Texts as each family of models writes them, and what they are to be split into."""

from dataclasses import dataclass

from server.parsing.families.table import OUTPUT_FORMATS
from server.parsing.output_format import GenerationStart
from server.parsing.parser import OutputParser
from server.prompt.messages import Think
from tests.support.parsing import TOOLS, Output

PARIS = ("get_weather", {"city": "P"})
SEP, CALL, CALL_END = "<｜tool▁sep｜>", "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>"
CALLS, CALLS_END = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
GLM_CALL = "<tool_call>get_weather<arg_key>city</arg_key><arg_value>P</arg_value></tool_call>"
TO_WEATHER = "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>"
CODER_CALL = (
    "<tool_call>\n<function=get_weather>\n<parameter=city>\nA & <b>\n</parameter>\n"
    "<parameter=n>\n3\n</parameter>\n<parameter=ok>\nyes\n</parameter>\n"
    '<parameter=u>\n2.0\n</parameter>\n<parameter=l>\n["x"]\n</parameter>\n'
    "<parameter=zz>\n5\n</parameter>\n</function>\n</tool_call>\n"
)
CODER_ARGUMENTS = {"city": "A & <b>", "n": 3, "ok": False, "u": 2, "l": ["x"], "zz": "5"}
ATEM = '<atem:function_calls>\n<atem:invoke name="{}">\n{}</atem:invoke>\n</atem:function_calls>'
ATEM_CITY = '<atem:parameter name="city"> P </atem:parameter>\n'


@dataclass(frozen=True)
class Case:
    """A text in pieces that the family `name` writes, and the output that it means."""

    name: str
    pieces: tuple[str, ...]
    think: Think | None
    expected: Output

    def parser(self) -> OutputParser:
        return OUTPUT_FORMATS[self.name].create_parser(
            GenerationStart(tools=TOOLS, think=self.think)
        )


def case(
    name: str,
    *pieces: str,
    think: Think | None = None,
    thinking: str = "",
    content: str = "",
    calls: list[tuple[str, object]] | None = None,
) -> Case:
    return Case(name, pieces, think, Output(content, thinking, calls or []))


CASES = (
    case(
        "qwen3-coder",
        "Let me. \n\n",
        CODER_CALL,
        content="Let me.",
        calls=[("get_weather", CODER_ARGUMENTS)],
    ),
    case(
        "qwen3-coder",
        "<tool_call>\n<function=get>\n</function>\n</tool_call>\n",
        "bye\n",
        content="bye",
        calls=[("get", {})],
    ),
    case(
        "qwen3-coder",
        "<tool_call><function=get><parameter=a>\n</tool_call>\n</function>\n</parameter>"
        "</function></tool_call>",
        calls=[("get", {"a": "</tool_call>\n</function>"})],
    ),
    case(
        "qwen3-coder",
        "a <tool_call><function=get</tool_call> b",
        content="a <tool_call><function=get</tool_call> b",
    ),
    case(
        "qwen3-coder",
        "<tool_call><function=get><parameter=a>1</parameter><parameter=a>2</parameter>"
        "</function></tool_call>",
        content="<tool_call><function=get><parameter=a>1</parameter><parameter=a>2</parameter>"
        "</function></tool_call>",
    ),
    case(
        "qwen3-thinking",
        "ab\n",
        '</think>\n\nHi <tool_call>{"name":"get","arguments":{"b":1,"a":2}}</tool_call>',
        think=True,
        thinking="ab",
        content="Hi",
        calls=[("get", {"b": 1, "a": 2})],
    ),
    case("qwen3-thinking", "<think>\nab</think>c", think=True, thinking="ab", content="c"),
    case(
        "qwen3-thinking",
        'ab\n<tool_call>{"name":"get"}</tool_call>',
        think=True,
        thinking="ab",
        calls=[("get", {})],
    ),
    case("qwen3-thinking", "ab</think>c", think=False, content="ab</think>c"),
    case("qwen3-thinking", "ab\n", thinking="ab"),
    case("qwen3", "<tool_call>not json</tool_call>", content="<tool_call>not json</tool_call>"),
    case(
        "qwen3",
        'a <tool_call>{"arguments": {}}</tool_call> b',
        content='a <tool_call>{"arguments": {}}</tool_call> b',
    ),
    case(
        "qwen3",
        '<tool_call>{"name": "x", "arguments": {"a": "</tool_call>"}}\n</tool_call>',
        calls=[("x", {"a": "</tool_call>"})],
    ),
    case("qwen3", '<tool_call>\n{"name": "get", "arguments": {}}', calls=[("get", {})]),
    case(
        "qwen3", '<tool_call>\n{"name": "get", "argu', content='<tool_call>\n{"name": "get", "argu'
    ),
    case(
        "qwen3",
        '<tool_call>{"name":"get"}<tool_call>{"name":"x"}</tool_call>',
        calls=[("get", {}), ("x", {})],
    ),
    case("qwen3", "a <tool", content="a <tool"),
    case("qwen3", "<think>a</think>", content="<think>a</think>"),
    case(
        "qwen3-vl-instruct",
        '<tool_call>\n{"name": "get", "arguments": "{\\"a\\": 1}"}\n</tool_call>',
        calls=[("get", {"a": 1})],
    ),
    case("qwen3-vl-thinking", "a</think>b", think=False, thinking="a", content="b"),
    case(
        "qwen3.5",
        "a\n",
        "</think>\n\nb\n\n",
        CODER_CALL,
        think=True,
        thinking="a",
        content="b",
        calls=[("get_weather", CODER_ARGUMENTS)],
    ),
    case(
        "qwen3.5",
        "a\n",
        CODER_CALL,
        think=True,
        thinking="a",
        calls=[("get_weather", CODER_ARGUMENTS)],
    ),
    case("qwen3.5", "b", think=False, content="b"),
    case("ornith", "a</think>b", thinking="a", content="b"),
    case("qwen3.8", "a</think>b", thinking="a", content="b"),
    case(
        "nemotron-3-nano",
        "a\n<tool_call><function=get></function></tool_call>",
        think=True,
        thinking="a",
        calls=[("get", {})],
    ),
    case("nemotron-3.5-nano", "a", think=False, content="a"),
    case("ministral", "[TOOL_CALLS]get[CALL_ID]abc[ARGS]{}", calls=[("get", {})]),
    case("ministral", "[TOOL_CALLS]nope[ARGS]{}", content="[TOOL_CALLS]nope[ARGS]{}"),
    case(
        "ministral",
        '[THINK]a[/THINK]b [TOOL_CALLS]get[ARGS]{}[TOOL_CALLS]get_weather[ARGS]{"city": "]}["} c',
        thinking="a",
        content="bc",
        calls=[("get", {}), ("get_weather", {"city": "]}["})],
    ),
    case("ministral", "[TOOL_CALLS]get[ARGS] words", content="[TOOL_CALLS]get[ARGS] words"),
    case("ministral", "[TOOL_CALLS]" + 300 * "x", content="[TOOL_CALLS]" + 300 * "x"),
    case(
        "harmony",
        "<|channel|>analysis<|message|>why",
        f'<|end|><|start|>assistant{TO_WEATHER}{{"city":"P"}}',
        thinking="why",
        calls=[PARIS],
    ),
    case("harmony", "<|channel|>final<|message|>Hel", "lo<|e", "nd|>", content="Hello"),
    case(
        "harmony",
        ' to=functions.get_weather<|channel|>commentary<|message|>{"city":"P"}<|call|>',
        calls=[PARIS],
    ),
    case(
        "harmony",
        "<|channel|>commentary<|message|>Let me. <|end|>",
        f"<|start|>assistant{TO_WEATHER}{{}}",
        content="Let me. ",
        calls=[("get_weather", {})],
    ),
    case(
        "harmony",
        '<|channel|>analysis to=python<|message|>{"a": 1}<|call|>',
        calls=[("python", {"a": 1})],
    ),
    case("harmony", TO_WEATHER + "{no json", content=TO_WEATHER + "{no json"),
    case("harmony", "<|message|>hi", content="hi"),
    case("harmony", " hi ", content=" hi "),
    case(
        "gemma4",
        "<|channel>thought\nhm",
        '<channel|>\nOk<|tool_call>call:get_weather{city:<|"|>P<|"|>,n:3}<tool_call|>',
        think=True,
        thinking="hm",
        content="Ok",
        calls=[("get_weather", {"city": "P", "n": 3})],
    ),
    case("gemma4", "<|channel>thought\nhm<channel|>Ok", think=False, content="Ok"),
    case(
        "gemma4",
        '<|tool_call>call:get{a:{b:[1,<|"|>,}<|"|>],c:true},"d e":null}',
        calls=[("get", {"a": {"b": [1, ",}"], "c": True}, "d e": None})],
    ),
    case(
        "gemma4",
        "<|tool_call>call:get{}<tool_call|><tool_call|> <|tool_response>",
        calls=[("get", {})],
    ),
    case("gemma4", "<|tool_call>call:get{a:", content="<|tool_call>call:get{a:"),
    case("gemma4-no-thinking", "a", content="a"),
    case(
        "functiongemma",
        "<start_function_call>call:get_weather{city:<escape>P<escape>,n:3,x:in "
        "words}<end_function_call>",
        calls=[("get_weather", {"city": "P", "n": 3, "x": "in words"})],
    ),
    case(
        "deepseek3",
        "why",
        f'</think>ok{CALLS}{CALL}get_weather{SEP}{{"city":"P"}}{CALL_END}{CALLS_END}',
        think=True,
        thinking="why",
        content="ok",
        calls=[PARIS],
    ),
    case(
        "deepseek3",
        f"{CALLS}{CALL}get{SEP}{{}}{CALL_END}{CALL}x{SEP}no{CALL_END}{CALLS_END}",
        think=False,
        content=f"{CALL}x{SEP}no{CALL_END}",
        calls=[("get", {})],
    ),
    case("deepseek3", "a</think>b", content="a</think>b"),
    case(
        "cogito",
        f'{CALLS}{CALL}function{SEP}get_weather\n```json\n{{"city":"P"}}\n```{CALL_END}{CALLS_END}',
        think=False,
        calls=[PARIS],
    ),
    case(
        "cogito",
        f"{CALLS}{CALL}get{SEP}{{}}{CALL_END}{CALLS_END}",
        think=True,
        content=f"{CALL}get{SEP}{{}}{CALL_END}",
    ),
    case("glm-4.7", "why</think>", GLM_CALL, thinking="why", calls=[PARIS]),
    case("glm-4.7", GLM_CALL.removesuffix("</tool_call>"), think=False, calls=[PARIS]),
    case(
        "glm-4.7",
        "<tool_call>get_weather<arg_key>n</arg_key><arg_value>1</arg_value>",
        think=False,
        content="<tool_call>get_weather<arg_key>n</arg_key><arg_value>1</arg_value>",
    ),
    case("glm-4.7", "<tool_call>x", think=False, content="<tool_call>x"),
    case("glm-ocr", "<think>a</think>b", thinking="a", content="b"),
    case("glm-ocr", "b", content="b"),
    case(
        "laguna",
        "a</think>",
        "<tool_call>get_weather\n<arg_key>n</arg_key>\n<arg_value>1000000</arg_value>\n"
        "</tool_call>",
        think=True,
        thinking="a",
        calls=[("get_weather", {"n": 1000000})],
    ),
    case("laguna", '<tool_call>get_weather {"city": "P"}</tool_call>', calls=[PARIS]),
    case(
        "poolside-v1",
        '<tool_call>{"name": "get_weather", "arguments": {"city": "P"}}</tool_call>',
        calls=[PARIS],
    ),
    case(
        "olmo3",
        'a <function_calls>get_weather(city="P")\nget(b=True, c=[1, None], '
        "d='x')</function_calls>",
        content="a",
        calls=[PARIS, ("get", {"b": True, "c": [1, None], "d": "x"})],
    ),
    case(
        "olmo3",
        "<function_calls>get(</function_calls>",
        content="<function_calls>get(</function_calls>",
    ),
    case("olmo3-think", "a</think>b", think=False, thinking="a", content="b"),
    case(
        "lfm2",
        '<|tool_call_start|>[get_weather(city="P"), get()]<|tool_call_end|>b',
        content="b",
        calls=[PARIS, ("get", {})],
    ),
    case("lfm2", "<think>a</think>b", content="<think>a</think>b"),
    case("lfm2-thinking", "<think>a</think>b", think=True, thinking="a", content="b"),
    case("lfm2-thinking", "<think>a</think>b", think=False, content="<think>a</think>b"),
    case(
        "cohere",
        "a<|END_THINKING|><|START_TEXT|>b<|END_TEXT|>",
        think=True,
        thinking="a",
        content="b",
    ),
    case(
        "cohere",
        "a<|END_THINKING|><|START_RESPONSE|>b<|END_RESPONSE|>",
        think=True,
        thinking="a",
        content="b",
    ),
    case(
        "cohere",
        '<|START_ACTION|>[{"tool_call_id": "0", "tool_name": "get", "parameters": {}}, '
        '{"x": 1}]<|END_ACTION|>',
        think=False,
        content='{"x": 1}',
        calls=[("get", {})],
    ),
    case(
        "glimmer",
        " to=self<|message|>a<|eom|><|start|>assistant to=get_weather<|message|>",
        ATEM.format("get_weather", ATEM_CITY),
        "<|eot|>",
        think=True,
        thinking="a",
        calls=[("get_weather", {"city": " P "})],
    ),
    case("glimmer", " to=x.get<|message|>" + ATEM.format("x.get", ""), calls=[("get", {})]),
    case("glimmer", " to=nope<|message|>b", content="b"),
    case(
        "glimmer",
        " to=self<|message|>a<|eom|><|start|>assistant to=user<|message|>b<|eot|>",
        think=False,
        content="b",
    ),
    case("passthrough", "<think>a</think> ", think=True, content="<think>a</think> "),
)
