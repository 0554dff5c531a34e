"""JSON inside a prompt keeps the client's order and has the form that models were trained on."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from server.prompt.renderers.json_text import (
    compact_json,
    indented_json,
    spaced_json,
    unescaped_json,
)

VALUE = {"b": ["<é>", 1, None], "a": {"y": True, "x": 1e21}, "": []}


def test_each_form_has_its_blanks_and_escapes() -> None:
    assert compact_json(VALUE) == (
        '{"b":["\\u003cé\\u003e",1,null],"a":{"y":true,"x":1e+21},"":[]}'
    )
    assert spaced_json(VALUE) == (
        '{"b": ["\\u003cé\\u003e", 1, null], "a": {"y": true, "x": 1e+21}, "": []}'
    )
    assert unescaped_json(VALUE) == '{"b": ["<é>", 1, null], "a": {"y": true, "x": 1e+21}, "": []}'


def test_each_part_may_stand_on_a_line_of_its_own() -> None:
    assert indented_json({"a": [1, {}], "b": {"c": "&"}}) == (
        '{\n    "a": [\n        1,\n        {}\n    ],\n'
        '    "b": {\n        "c": "\\u0026"\n    }\n}'
    )


FRACTIONS = st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not x.is_integer())
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | FRACTIONS | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(VALUES)
@settings(max_examples=50, deadline=None)
def test_every_form_says_the_same(value: object) -> None:
    for form in (compact_json, spaced_json, unescaped_json, indented_json):
        assert json.loads(form(value)) == value
