"""A model gets a built-in Go template only where its own in Jinja writes the same prompts."""

import pytest

from model_store.gguf import ChatTemplate
from server.prompt.builtin.recognition import recognise
from tests.support.chat_templates import FAMILIES

CHATML, LLAMA3, ZEPHYR = FAMILIES["chatml"], FAMILIES["llama3-instruct"], FAMILIES["zephyr"]


def recognised(source: str, *, eos: str = "</s>", adds_bos: bool | None = None) -> str | None:
    known = recognise(ChatTemplate(source, "<s>", eos, adds_bos))
    return known.name if known else None


@pytest.mark.parametrize("name", FAMILIES)
def test_the_template_of_a_family_is_recognised_by_what_it_writes(name: str) -> None:
    assert recognised(FAMILIES[name]) == name


def test_how_a_template_is_written_does_not_matter() -> None:
    other = (
        "{% macro turn(who, text) %}<|im_start|>{{ [who, text] | join('\n') }}<|im_end|>\n\n"
        "{% endmacro %}{% for said in messages %}{{ turn(said.role, said.content) | trim }}"
        "{{ '\n' }}{% endfor %}{{ '<|im_start|>assistant\n' if add_generation_prompt }}"
    )

    assert recognised(other) == "chatml"


def test_a_system_text_may_be_refused() -> None:
    refusing = "{% if messages[0].role == 'system' %}{{ raise_exception('none') }}{% endif %}"

    assert recognised(refusing + CHATML) == "chatml"


@pytest.mark.parametrize(("adds_bos", "same"), [(None, True), (False, True), (True, False)])
def test_bos_may_be_the_mark_of_a_turn(adds_bos: bool | None, same: bool) -> None:
    """Where the tokenizer adds it, the template's own is taken off; a Go template's would stay."""
    known = recognise(ChatTemplate(CHATML, "<|im_start|>", "<|im_end|>", adds_bos))

    assert (known is not None) is same


DEFAULT_SYSTEM = (
    "{% if messages[0].role != 'system' %}<|im_start|>system{{ '\n' }}You help.<|im_end|>{{ '\n' }}"
    "{% endif %}"
)
NEAR_MISSES = {
    "a system text where none was given": DEFAULT_SYSTEM + CHATML,
    "a blank before everything": "{{ ' ' }}" + CHATML,
    "no line end after the role that answers": CHATML.replace("assistant\n", "assistant"),
    "a line end more at the end": CHATML.replace("assistant\n", "assistant\n\n"),
    "a begun thought": CHATML.replace("assistant\n", "assistant\n<thought>"),
    "another name for the assistant": CHATML.replace("|>assistant", "|>model"),
    "only the last turn": CHATML.replace("in messages", "in messages[-1:]"),
    "only the last three turns": CHATML.replace("in messages", "in messages[-3:]"),
    "no system text": CHATML.replace("in messages", "in messages if m.role != 'system'"),
    "escaped marks": CHATML.replace("m['content']", "m['content'] | e"),
    "one line": CHATML.replace("m['content']", "m['content'] | replace('\n', ' ')"),
    "upper case": CHATML.replace("m['content']", "m['content'] | upper"),
    "BOS before each turn": LLAMA3.replace("if loop.first else ''", ""),
    "no question of the assistant": CHATML.replace("add_generation_prompt", "false"),
    "refused only for long conversations": CHATML
    + "{% if messages | length == 4 %}{{ raise_exception('none') }}{% endif %}",
    "the date": CHATML + "{{ strftime_now('%Y') }}",
    "tools": CHATML + "{% if tools %}{{ tools | tojson }}{% endif %}",
    "results of tools": CHATML + "{% if message.tool_calls %}x{% endif %}",
    "thinking": CHATML + "{% if enable_thinking %}<think></think>{% endif %}",
    "too long to be worth while": CHATML + "{#" + "x" * 10_000 + "#}",
}


@pytest.mark.parametrize("source", NEAR_MISSES.values(), ids=NEAR_MISSES)
def test_what_is_only_similar_is_left_alone(source: str) -> None:
    assert recognised(source) is None


def test_a_token_with_another_text_makes_another_template() -> None:
    assert recognised(ZEPHYR) == "zephyr"
    assert recognised(ZEPHYR, eos="<|endoftext|>") is None
    assert recognised(ZEPHYR, eos="") is None


def test_bos_that_the_tokenizer_does_not_add_makes_another_template() -> None:
    assert recognised(LLAMA3, adds_bos=True) == "llama3-instruct"
    assert recognised(LLAMA3, adds_bos=False) is None
    assert recognised(CHATML, adds_bos=False) == "chatml"


HOSTILE = {
    "nothing": " ",
    "not closed": "{% for m in messages %}",
    "unknown filter": CHATML.replace("trim", "nosuch"),
    "always fails": CHATML + "{{ raise_exception('no') }}",
    "wrong types": "{{ 1 + messages }}",
    "insides of Python": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "deep": "{{ " + "(" * 2000 + "1" + ")" * 2000 + " }}",
    "calls itself": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "large": "{{ 'x' * 10**9 }}",
    "endless": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "endless with a system text": CHATML
    + "{% if messages[0].role == 'system' and messages | length > 2 %}"
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}{% endif %}",
}


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE)
def test_a_template_that_is_broken_or_hostile_is_left_alone(source: str) -> None:
    """Making the model goes on; that its template is no good is told when it is used."""
    assert recognised(source) is None
