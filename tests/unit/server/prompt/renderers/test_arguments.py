"""Arguments that stand bare in a prompt are text as it is, and numbers as the models saw them."""

import pytest

from server.prompt.renderers.arguments import go_text, python_text


@pytest.mark.parametrize(
    ("value", "shown", "in_python"),
    [
        ('a "<b>"', 'a "<b>"', 'a "<b>"'),
        (1, "1", "1"),
        (999_999, "999999", "999999"),
        (1_000_000, "1e+06", "1e+06"),
        (2**53 + 1, "9007199254740993", "9007199254740993"),
        (0.5, "0.5", "0.5"),
        (2.0, "2", "2"),
        (True, "true", "True"),
        (False, "false", "False"),
        (None, "null", "None"),
        ([1, "<"], '[1,"\\u003c"]', '[1, "<"]'),
        ({"b": 1_000_000, "a": None}, '{"b":1000000,"a":null}', '{"b": 1000000, "a": null}'),
    ],
)
def test_a_value_is_printed_for_its_kind(value: object, shown: str, in_python: str) -> None:
    assert (go_text(value), python_text(value)) == (shown, in_python)
