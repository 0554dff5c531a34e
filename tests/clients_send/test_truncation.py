"""A conversation that is too long for its context is truncated to one that the template accepts.

The scripted runner has a token for each byte.
"""

import pytest

from tests.clients_send.sending import (
    CHAT,
    Row,
    Sender,
    answer,
    call,
    calls,
    result,
    system,
    tool,
    user,
)

pytestmark = pytest.mark.anyio

_TURN = (
    "{% if m.tool_calls %}call:{{ m.tool_calls[0].function.name }} {% else %}"
    "{{ m.role }}:{{ m.content }} {% endif %}{% endfor %}{# tools #}"
)
ALTERNATING = (
    "{% set ns = namespace(n=0) %}{% for m in messages if m.role != 'system' %}"
    "{% if m.role == 'user' or (m.role == 'assistant' and not m.tool_calls) %}"
    "{% if (m.role == 'user') != (ns.n % 2 == 0) %}"
    "{{ raise_exception('conversation roles must alternate') }}{% endif %}"
    "{% set ns.n = ns.n + 1 %}{% endif %}{% endfor %}{% for m in messages %}" + _TURN
)
PAIRED = (
    "{% for m in messages %}{% if m.role == 'tool' and (loop.first or not "
    "(loop.previtem.tool_calls or loop.previtem.role == 'tool')) %}"
    "{{ raise_exception('a result without a call') }}{% endif %}" + _TURN
)
NEEDS_USER = (
    "{% if not messages | selectattr('role', 'equalto', 'user') | list %}"
    "{{ raise_exception('No user query found in messages.') }}{% endif %}"
    "{% for m in messages %}" + _TURN
)
ANY = "{% for m in messages %}" + _TURN
TALK = (
    *(turn for n in range(8) for turn in (user(f"q{n}"), answer(f"a{n}"))),
    user("end"),
)
"""Each question has 8 characters in a prompt, each answer 13."""
WORK = (
    user("Go"),
    *(
        turn
        for n in range(6)
        for turn in (calls(call("f", id=f"c{n}")), result(f"r{n}", id=f"c{n}"))
    ),
)


def _row(kind: str, source: str, template: str, messages: tuple[object, ...], prompt: str) -> Row:
    return Row(
        kind=kind,
        source=source,
        template=template,
        messages=messages,
        prompt=prompt,
        tools=(tool(),),
    )


def _end(n: int) -> str:
    """Return the prompt of `TALK` from question `n` on."""
    return "".join(f"user:q{i} assistant:a{i} " for i in range(n, 8)) + "user:end "


OLLAMA, ROWBOAT = "ollama/ollama#18107", "rowboatlabs/rowboat#545"
ROWS = [
    (64, _row("a small context", ROWBOAT, ALTERNATING, TALK, _end(6))),
    (120, _row("a start with an answer is refused", ROWBOAT, ALTERNATING, TALK, _end(4))),
    (
        128,
        _row("a start with an answer is accepted", ROWBOAT, ANY, TALK, "assistant:a3 " + _end(4)),
    ),
    (
        140,
        _row(
            "a system message stays",
            ROWBOAT,
            ALTERNATING,
            (system("Be brief"), *TALK),
            "system:Be brief " + _end(4),
        ),
    ),
    (
        64,
        _row(
            "a start with a result is refused",
            "arbs-io/github-copilot-llm-gateway#86",
            PAIRED,
            WORK,
            "call:f tool:r3 call:f tool:r4 call:f tool:r5 ",
        ),
    ),
    (
        64,
        _row(
            "no start of a long piece of work is accepted as it is",
            OLLAMA,
            NEEDS_USER.replace("{% for m in messages %}" + _TURN, PAIRED),
            WORK,
            "user:r2 call:f tool:r3 call:f tool:r4 call:f tool:r5 ",
        ),
    ),
    (
        64,
        _row(
            "the only question is dropped",
            OLLAMA,
            NEEDS_USER,
            WORK,
            "user:r2 call:f tool:r3 call:f tool:r4 call:f tool:r5 ",
        ),
    ),
    (
        64,
        _row(
            "a long last question stays whole",
            ROWBOAT,
            ALTERNATING,
            (*TALK[:2], user("x" * 100)),
            f"user:{'x' * 100} ",
        ),
    ),
    (
        4096,
        _row("all fits", ROWBOAT, ALTERNATING, TALK, _end(0)),
    ),
]


@pytest.mark.parametrize(("num_ctx", "row"), ROWS, ids=str)
async def test_the_rest_is_a_conversation(sender: Sender, num_ctx: int, row: Row) -> None:
    assert await sender.prompt(row, CHAT, num_ctx=num_ctx) == row.prompt


@pytest.mark.parametrize("template", [ANY, ALTERNATING])
async def test_a_prompt_leaves_room_for_the_answer(sender: Sender, template: str) -> None:
    """Neither a prompt of just the context nor one that had to be truncated fills it."""
    row = _row("", "", template, TALK, "")
    whole = len(_end(0))

    assert await sender.prompt(row, CHAT, num_ctx=whole + 10) == _end(0)
    for num_ctx in range(whole - 20, whole + 2):
        truncated = await sender.prompt(row, CHAT, num_ctx=num_ctx)
        assert truncated != _end(0)
        assert len(truncated) <= num_ctx - num_ctx // 8


async def test_a_short_answer_needs_little_room(sender: Sender) -> None:
    row = _row("", "", ANY, TALK, "")

    prompt = await sender.prompt(row, CHAT, num_ctx=len(_end(1)) + 8, num_predict=4)

    assert prompt == _end(1)
