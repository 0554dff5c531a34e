"""Arguments of Kimi K3 and MiniMax M3, which are elements with types or inside each other."""

import pytest

from server.parsing.format_detection import detect_format
from server.parsing.output_format import GenerationStart
from server.prompt.messages import Tool
from tests.support.families.chat_templates import JINJA
from tests.support.parsing import Output, output

PLACE = {"type": "object", "properties": {"city": {"type": "string"}, "zip": {"type": "string"}}}
TRIP = Tool(
    name="plan",
    parameters={
        "type": "object",
        "properties": {
            "from": {"$ref": "#/$defs/place"},
            "stops": {"type": "array", "items": {"$ref": "#/$defs/place"}},
            "days": {"type": "array", "items": {"type": "integer"}},
            "note": {"type": "string"},
            "fast": {"type": "boolean"},
        },
        "$defs": {"place": PLACE},
    },
)
MARK = "]<]minimax[>["


def written(name: str, text: str) -> Output:
    """Return what is parsed of a text that arrives character by character."""
    return output(detect_format(JINJA[name]).create_parser(GenerationStart(tools=(TRIP,))), text)


def m3(arguments: str) -> str:
    """Return a call of MiniMax M3, with `^` for the mark before each tag."""
    return f'^<tool_call>\n^<invoke name="plan">{arguments}^</invoke>\n^</tool_call>'.replace(
        "^", MARK
    )


def k3(*arguments: tuple[str, str, str], name: str = "plan") -> str:
    inner = "".join(
        f'<|open|>argument key="{key}" type="{kind}"<|sep|>{value}<|close|>argument<|sep|>'
        for key, kind, value in arguments
    )
    return f'<|open|>call tool="{name}" index="1"<|sep|>{inner}<|close|>call<|sep|>'


@pytest.mark.parametrize(
    ("elements", "arguments"),
    [
        ("^<note>a < b & 1^</note>", {"note": "a < b & 1"}),
        (
            "^<from>^<city>Bonn^</city>^<zip>01234^</zip>^</from>",
            {"from": {"city": "Bonn", "zip": "01234"}},
        ),
        (
            "^<stops>^<item>^<city>Ulm^</city>^</item>^<item>^<zip>7^</zip>^</item>^</stops>",
            {"stops": [{"city": "Ulm"}, {"zip": "7"}]},
        ),
        ("^<days>^<item>1^</item>^<item>2^</item>^</days>", {"days": [1, 2]}),
        ("^<days>[1, 2]^</days>", {"days": [1, 2]}),
        ("^<days>^</days>^<fast>true^</fast>", {"days": [], "fast": True}),
        ("", {}),
    ],
)
def test_elements_inside_each_other_are_objects_and_lists(elements, arguments) -> None:
    found = written("minimax-m3", f"Wait.\n{m3(elements)}")

    assert found == Output("Wait.", calls=[("plan", arguments)])


@pytest.mark.parametrize(
    "elements",
    [
        "^<note>a",
        "^</note>",
        "^<note>a^</days>",
        "^<note>^<note>a^</note>b^</note>",
        "^<note>a^</note>^<note>b^</note>",
        "loose^<note>a^</note>",
        "^<days>^<item>1^</item>^<other>2^</other>^<other>3^</other>^</days>",
        "^<a>" * 500 + "^</a>" * 500,
    ],
)
def test_elements_that_do_not_fit_each_other_stay_text(elements) -> None:
    found = written("minimax-m3", m3(elements))

    assert not found.calls
    assert "plan" in found.content


def test_values_have_the_types_that_they_are_written_with() -> None:
    text = k3(
        ("note", "string", '12 <|open|> "&amp;"'),
        ("days", "array", "[1, 2]"),
        ("fast", "boolean", "true"),
        ("a &quot;b&quot; &amp; c", "null", "null"),
        ("from", "object", '{"city": "Bonn"}'),
        ("n", "number", "1.5"),
    )

    assert written("kimi-k3", text).calls == [
        (
            "plan",
            {
                "note": '12 <|open|> "&amp;"',
                "days": [1, 2],
                "fast": True,
                'a "b" & c': None,
                "from": {"city": "Bonn"},
                "n": 1.5,
            },
        )
    ]


def test_all_arguments_may_be_one_json_object() -> None:
    text = (
        '<|open|>call tool="plan" index="1"<|sep|><|open|>json type="object"<|sep|>'
        '{"note": "a"}<|close|>json<|sep|><|close|>call<|sep|>'
    )

    assert written("kimi-k3", text).calls == [("plan", {"note": "a"})]


@pytest.mark.parametrize(
    "text",
    [
        k3(("days", "array", "[1,")),
        k3(("note", "string", "a"), ("note", "string", "b")),
        k3(name=""),
        k3(("note", "string", "a")).removesuffix("<|close|>call<|sep|>"),
        '<|open|>call tool="plan"<|close|>call<|sep|>',
    ],
)
def test_a_call_that_is_broken_stays_text(text) -> None:
    found = written("kimi-k3", text)

    assert not found.calls
    assert found.content


def test_channels_of_an_answer_are_not_shown() -> None:
    """Kimi K3 writes thinking, response and tools one after the other."""
    calls = k3(("note", "string", "a")) + k3()
    text = (
        "<|open|>think<|sep|>Hm.<|close|>think<|sep|><|open|>response<|sep|>I plan."
        f"<|close|>response<|sep|><|open|>tools<|sep|>{calls}<|close|>tools<|sep|>"
        "<|close|>message<|sep|><|end_of_msg|>"
    )

    assert written("kimi-k3", text) == Output(
        "I plan.", "Hm.", [("plan", {"note": "a"}), ("plan", {})]
    )


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "functionary-3.2",
            'all\nOne >>> two.>>>plan\n{"note": "a"}>>>plan\n{}',
            Output("One >>> two.", calls=[("plan", {"note": "a"}), ("plan", {})]),
        ),
        ("functionary-3.2", 'all\n>>>other\n{"note": 1}', Output('>>>other\n{"note": 1}')),
        (
            "gigachat-3",
            (
                'I look.<|message_sep|>\n\nfunction call<|role_sep|>\n{"name": "plan", '
                '"arguments": {}}<|message_sep|>\n\n'
            ),
            Output("I look.", calls=[("plan", {})]),
        ),
        (
            "firefunction",
            'See functools.wraps. functools[{"name": "plan", "arguments": {}}]',
            Output("See functools.wraps.", calls=[("plan", {})]),
        ),
        (
            "minimax-m1",
            (
                '<think>\n{"a": 1}\n</think>\n\nNow.\n<tool_calls>\n{"name": "plan"}\n'
                '{"name": "plan", "arguments": {"note": "</tool_calls>"}}\n</tool_calls>'
            ),
            Output("Now.", '{"a": 1}', [("plan", {}), ("plan", {"note": "</tool_calls>"})]),
        ),
        (
            "hunyuan-3",
            (
                "<think:opensource>Hm.</think:opensource>Yes.<tool_calls:opensource>\n"
                "<tool_call:opensource>plan<tool_sep:opensource>\n<arg_key:opensource>days"
                "</arg_key:opensource>\n<arg_value:opensource>[1]</arg_value:opensource>\n"
                "</tool_call:opensource>\n</tool_calls:opensource>"
            ),
            Output("Yes.", "Hm.", [("plan", {"days": [1]})]),
        ),
        (
            "solar-open",
            (
                "<|think|>Hm.<|end|><|begin|>assistant<|tool_calls|><|tool_call:begin|>x1"
                '<|tool_call:name|>plan<|tool_call:args|>{"note": "a"}<|tool_call:end|><|calls|>'
            ),
            Output("", "Hm.", [("plan", {"note": "a"})]),
        ),
    ],
)
def test_a_whole_answer_is_split_as_the_family_writes_it(name, text, expected) -> None:
    assert written(name, text) == expected
