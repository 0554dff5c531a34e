"""A hostile chat template in Jinja ends with an error: it learns nothing, and takes little."""

from contextlib import suppress
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.errors import TemplateError
from server.prompt.messages import Message
from tests.support.rendering import RenderingProcesses, jinja_renderer

TOO_MUCH = "the model's chat template takes too much time or space"
MESSAGES = [Message("user", "Hi"), Message("assistant", "Hello"), Message("user", "more")]


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ ''['__class__']['__mro__'] }}",
        "{{ (''|attr('__class__')).mro }}",
        "{{ '{0.__class__.__mro__}'.format('') }}",
        "{{ lipsum.__globals__ }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ environment.globals }}",
        "{{ self.__init__.__globals__ }}",
        "{{ range.__self__ }}",
        "{{ dict.__base__ }}",
        "{{ namespace.__init__.__globals__ }}",
        "{{ raise_exception.__globals__['json'] }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update({'role': 'system'}) }}",
        "{% set messages[0].role = 'system' %}",
    ],
)
def test_a_template_cannot_reach_out_of_its_sandbox(source: str) -> None:
    """What it asks for is refused, or not there."""
    with suppress(TemplateError):
        assert jinja_renderer(source).render(MESSAGES, [], None) == ""


GROW = "{% set ns = namespace(x=START) %}{% for i in range(99) %}NEXT{% endfor %}{{ ns.x }}"
PRINT = "{% for i in range(99999) %}" + "a" * 50_000 + "{% endfor %}"
CAPTURE = GROW.replace("START", "'a'").replace(
    "NEXT", "{% set ns.x %}{{ ns.x }}{{ ns.x }}{% endset %}"
)


def growing(start: str, following: str) -> str:
    """Return a template whose value becomes the `following` expression of itself, often."""
    return GROW.replace("START", start).replace("NEXT", "{% set ns.x = " + following + " %}")


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a' * 10**9 }}",
        "{{ 1000000000 * [1] }}",
        "{{ 10 ** 999999999 }}",
        "{{ (9 ** 9999) ** 9999 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '%*d' % (1000000000, 1) }}",
        "{{ '%.1000000000f' % 1 }}",
        "{{ '%(a)1000000000d' % {'a': 1} }}",
        "{{ ('%99999d' * 9999) % ((1,) * 9999) }}",
        "{{ '%1000000000d' | format(1) }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ '{:{}}'.format('a', '1000000000') }}",
        "{{ '{a:1000000000}'.format_map({'a': 1}) }}",
        "{{ ('{0}' * 9999).format('a' * 99999) }}",
        "{{ 'a'.ljust(10 ** 9) }}",
        "{{ 'a'['rjust'](1000000000) }}",
        "{{ ('a' | attr('zfill'))(1000000000) }}",
        "{{ 'a' | center(1000000000) }}",
        "{{ 'a' | center(width=1000000000) }}",
        "{{ ['a'] | map('center', 1000000000) | list }}",
        "{{ 'a\n' | indent(1000000000, true) }}",
        "{{ ('a\n' * 99999) | indent('b' * 99999) }}",
        "{{ ('a' * 999999).replace('', 'b' * 999999) }}",
        "{{ ('a' * 999999) | replace('a', 'b' * 999999) }}",
        "{{ (['a'] * 9999) | join('b' * 99999) }}",
        "{{ ('b' * 99999).join(['a'] * 9999) }}",
        "{{ [1] | batch(1000000000, 'x') | list }}",
        "{{ [1] | slice(1000000000) | list }}",
        "{{ 1 | round(1000000000, 'ceil') }}",
        "{{ [1] | tojson(1000000000) }}",
        "{{ ([1] * 9999) | tojson(separators=('a' * 99999, ':')) }}",
        growing("'a'", "ns.x ~ ns.x"),
        growing("'a'", "ns.x + ns.x"),
        growing("9", "ns.x * ns.x"),
        growing("['a' * 9999]", "[ns.x, ns.x]"),
        growing("('a' * 9999,)", "(ns.x, ns.x)"),
        growing("{0: 'a' * 9999}", "{'a': ns.x, 'b': ns.x}"),
        growing("dict(a='a' * 9999)", "dict(a=ns.x, b=ns.x)"),
        growing("['a' * 9999]", "ns.x | batch(2, ns.x) | list"),
        growing("[]", "ns.x + ['a' * 4000000 ~ i]"),
        growing("[]", "[ns.x, ('a' * 4000000)[1:]]"),
        growing("[]", "namespace(x=ns.x, y='a' * 4000000 ~ i)"),
        CAPTURE,
        PRINT,
        "{% set x %}" + PRINT + "{% endset %}",
        "{% filter upper %}" + PRINT + "{% endfilter %}",
        "{% set d = dict(a='a' * 4000000) %}{{ [d.values()] * 9999 }}",
    ],
    ids=count(),
)  # fmt: skip
def test_what_would_fill_the_memory_is_ended(source: str, processes: RenderingProcesses) -> None:
    with pytest.raises(TemplateError) as caught:
        processes.jinja(source, MESSAGES)
    assert str(caught.value) == TOO_MUCH


TWICE = "{% macro m() %}{{ caller() }}{{ caller() }}{% endmacro %}"
LONG = "{% set r = range(99999) %}"


@pytest.mark.parametrize(
    "source",
    [
        LONG + "{% for a in r %}{% for b in r %}{% endfor %}{% endfor %}",
        LONG + "{% for a in r %}{% for b in r if false %}{% endfor %}{% endfor %}",
        LONG + "{% set l = r | list %}{% for a in l %}{% if -a in l %}{% endif %}{% endfor %}",
        LONG + "{% for a in r %}{% for b in r %}{{ '' }}{% endfor %}{% endfor %}",
        LONG + "{% for a in r %}{% set x = r | sort | list %}{% endfor %}",
        "{% for a in range(99) recursive %}{{ loop(range(99)) if loop.depth < 9 }}{% endfor %}",
        "{% macro f(n) %}{{ f(n - 1) ~ f(n - 1) if n }}{% endmacro %}{{ f(99) }}",
        TWICE + "{% call m() %}" * 18 + "{% endcall %}" * 18,
        "{{ ('a' * 900000).rfind('ab' ~ 'a' * 450000) }}",
        "{{ (10 ** 400000) % (10 ** 200000 + 1) }}",
        "{{ 10 ** 999999999 }}",
    ],
    ids=[
        "loops",
        "filtered",
        "search",
        "prints",
        "sorts",
        "recursive",
        "macros",
        "callers",
        "search in C",
        "division in C",
        "power in C",
    ],
)
def test_what_would_not_end_is_ended(source: str, processes: RenderingProcesses) -> None:
    """Loops without any call in them, and single calls of C code, too."""
    with pytest.raises(TemplateError) as caught:
        processes.jinja(source, MESSAGES)
    assert str(caught.value) == TOO_MUCH


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("{% for i in range(10 ** 9) %}{% endfor %}", "OverflowError"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "nested too deeply"),
        ("{% block a %}{{ self.a() }}{% endblock %}", "nested too deeply"),
        ("{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}", "nested too deeply"),
        ("{{ " + "9" * 60_000 + " }}", "ValueError"),
        ("{{ 1" + "+1" * 5000 + " }}", "nested too deeply"),
        ("{% for a in [1] %}" * 60 + "{% endfor %}" * 60, "nested too deeply"),
        ("{% for", "unexpected 'end of template'|Expected"),
    ],
    ids=["range", "macro", "block", "loop", "digits", "terms", "loops", "open"],
)
def test_what_python_refuses_is_an_error_of_the_template(
    source: str, error: str, processes: RenderingProcesses
) -> None:
    with pytest.raises(TemplateError, match=error):
        processes.jinja(source, MESSAGES)


def test_an_ordinary_conversation_stays_far_from_the_limits(
    processes: RenderingProcesses,
) -> None:
    """Thousands of turns, text put together in a variable, pieces taken from the middle."""
    source = (
        "{% set ns = namespace(x='') %}{% for m in messages[1:] %}"
        "{% set ns.x = ns.x ~ m.role + m.content.split('x')[0] | trim %}"
        "{% endfor %}{{ ns.x }}{{ messages | tojson | length }}"
    )

    assert len(processes.jinja(source, [Message("user", "hello " * 50)] * 1000)) > 100_000


STATEMENTS = """
{% for a in messages %}|{% for a in range(99999) %}|{% endfor %}|{% if a %}|{% else %}|{% endif %}
{% set a = [a, a] %}|{% set a = a ~ a %}|{% set a %}|{% endset %}|{% macro m(a) %}|{% endmacro %}
{{ m(a) }}|{{ a * 999 }}|{{ a ** 9 }}|{{ a % (9, a) }}|{{ a | tojson }}|{{ a[1:] }}|{{ a.b.c }}
{{ '%99999d' % 1 }}|{{ a.format(a) }}|{{ a | list | join(a) }}|{{ a | replace('', a) }}|text\n
{% break %}|{% continue %}|{{ loop.index }}|{{ a | map('upper') | list }}|{{ a | sort | sum }}
{% filter upper %}|{% endfilter %}|{{ dict(a=a) }}|{% set ns.a = a %}|{{ raise_exception(a) }}
{% call m(1) %}|{% endcall %}|{{ caller() }}|{% include a %}|{% raw %}|{# c #}|{{ a | indent(a) }}
""".replace("\n", "|").split("|")
PIECES = (
    "{{ }} {% %} {# #} for in if set a = . [ ] ( ) | ~ ** 'a' 1e999 loop end {} \n \ud800".split(
        " "
    )
)


@given(
    st.one_of(
        st.text(),
        st.lists(st.sampled_from(STATEMENTS)).map("".join),
        st.lists(st.sampled_from(PIECES)).map(" ".join),
    )
)
@settings(max_examples=150, deadline=None)
def test_any_text_renders_or_raises_template_error(
    processes: RenderingProcesses, source: str
) -> None:
    with suppress(TemplateError):
        processes.jinja("{% set a = 'ab' %}{% set ns = namespace() %}" + source, MESSAGES)
