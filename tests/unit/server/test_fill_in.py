"""A model without a Go template fills in the middle when its vocabulary has the tokens for it."""

from pathlib import Path

import pytest

from model_store.gguf import FillInTokens
from model_store.model import Model
from server.capabilities import capabilities
from server.formats import choose, suffix_template_of
from server.library.description import Variation, describe
from server.prompt.fill_in import fill_in_template, with_fill_in
from server.prompt.template import parse_go_template
from server.rendering.go import GoRenderer
from tests.support.gguf_bytes import STRING, array
from tests.support.installed import installed

QWEN = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
VOCABULARY = array("tokenizer.ggml.tokens", STRING, ("a", *QWEN))
JINJA = "{{ messages[0].content }}"


def filled(model: Model) -> str:
    source = suffix_template_of(model, choose(model, None).source)
    assert source is not None
    return GoRenderer(parse_go_template(source)).render_suffix("def f(", "return x", None)


@pytest.mark.parametrize("jinja", [JINJA, ""])
def test_the_template_marks_what_is_before_and_after_the_gap(tmp_path: Path, jinja: str) -> None:
    model = installed(tmp_path, VOCABULARY, chat_template=jinja)

    assert filled(model) == "<|fim_prefix|>def f(<|fim_suffix|>return x<|fim_middle|>"
    assert set(capabilities(model, choose(model, None))) == {"completion", "insert"}


@pytest.mark.parametrize("jinja", [JINJA, ""])
def test_show_prints_a_template_in_which_editors_find_the_suffix(
    tmp_path: Path, jinja: str
) -> None:
    """What a Jinja template renders does not change by it."""
    model = installed(tmp_path, VOCABULARY, chat_template=jinja)
    shown = describe(model, Variation(), go_template=None).template

    assert ".Suffix" in shown
    assert shown.endswith(JINJA if jinja else "{{ else }}{{ .Prompt }}{{ end }}")


def test_a_go_template_decides_alone(tmp_path: Path) -> None:
    model = installed(tmp_path, VOCABULARY, template="{{ .Prompt }}")

    assert suffix_template_of(model, choose(model, None).source) is None
    assert capabilities(model, choose(model, None)) == ("completion",)


def test_a_family_may_read_the_suffix_first() -> None:
    template = fill_in_template(FillInTokens("[PREFIX]", "[SUFFIX]", "", suffix_first=True))

    assert template == "{{ if .Suffix }}[SUFFIX]{{ .Suffix }}[PREFIX]{{ .Prompt }}{{ end }}"


def test_braces_in_a_token_are_no_action() -> None:
    template = parse_go_template(fill_in_template(FillInTokens("{{p}}", "{{s", "m")))

    assert GoRenderer(template).render_suffix("a", "b", None) == "{{p}}a{{sbm"
    assert with_fill_in(JINJA, "#}") == JINJA
