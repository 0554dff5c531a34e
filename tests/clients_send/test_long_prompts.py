"""Agents are told that a prompt is too long, in the words that make them compact it.

The scripted runner has a token for each byte, and answers with the words of its prompt.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from server.config.long_prompts import LongPrompts
from tests.clients_send.sending import CHAT, COMPLETIONS, MESSAGES, RESPONSES, Sender
from tests.support.application import serving

pytestmark = pytest.mark.anyio

TEMPLATE = "{% for m in messages %}{{ m.role }}:{{ m.content }} {% endfor %}"
N_CTX = 256
HALVED = [30] * 40
"""Lengths of messages of which less than half fits."""
CUT = [30] * 10
ONE = [2000]
GENERATED = "/api/generate"


def body(api: str, lengths: Sequence[int]) -> dict[str, Any]:
    turns = [
        {"role": "user" if n % 2 == 0 else "assistant", "content": "x" * length}
        for n, length in enumerate(lengths)
    ]
    if len(turns) % 2 == 0:
        turns.append({"role": "user", "content": "end"})
    limit = {"options": {"num_ctx": N_CTX}}
    if api == RESPONSES:
        return {"input": turns, "store": False, **limit}
    return {"messages": turns, **limit, **({"max_tokens": 9} if api == MESSAGES else {})}


async def send(sender: Sender, api: str, lengths: Sequence[int], **fields: Any) -> Any:
    model = await sender.model(TEMPLATE)
    return await sender.server.post(
        api, model=model, **{"stream": False, **body(api, lengths), **fields}
    )


@pytest.mark.parametrize(
    ("api", "lengths", "fields", "status"),
    [
        (MESSAGES, HALVED, {}, 400),
        (RESPONSES, HALVED, {}, 400),
        (MESSAGES, ONE, {}, 400),
        (RESPONSES, ONE, {}, 400),
        (MESSAGES, [10] * 5 + [1000], {}, 400),
        (MESSAGES, [300_000] * 4, {}, 400),
        (MESSAGES, HALVED, {"truncate": True}, 200),
        (RESPONSES, HALVED, {"truncation": "auto"}, 200),
        (MESSAGES, CUT, {}, 200),
        (RESPONSES, CUT, {}, 200),
        (MESSAGES, [30] * 3, {}, 200),
        (CHAT, HALVED, {}, 200),
        (COMPLETIONS, HALVED, {}, 200),
        (CHAT, ONE, {}, 200),
    ],
    ids=str,
)
async def test_an_agents_prompt_is_refused_when_half_of_it_would_be_lost(
    sender: Sender, api: str, lengths: Sequence[int], fields: dict[str, Any], status: int
) -> None:
    reply = await send(sender, api, lengths, **fields)

    assert reply.status_code == status, reply.text


async def test_the_error_is_the_one_that_claude_code_knows(sender: Sender) -> None:
    """Source: anthropics/claude-code, which reads both numbers."""
    for stream in (False, True):
        reply = await send(sender, MESSAGES, HALVED, stream=stream)

        error = reply.json()["error"]
        assert reply.status_code == 400
        assert error["type"] == "invalid_request_error"
        words = error["message"].split()
        assert words[:4] == ["prompt", "is", "too", "long:"]
        assert int(words[4]) > int(words[7]) == N_CTX
        assert (words[5], words[6]) == ("tokens", ">")


async def test_any_error_of_a_context_has_the_words_and_the_code(sender: Sender) -> None:
    """The runner's own refusal too."""
    model = await sender.model("{% for m in messages %}{{ m.content }}{% endfor %}")
    body = {"model": model, "messages": [{"role": "user", "content": "refuse"}]}

    messages = await sender.server.post(MESSAGES, **body, max_tokens=9, truncate=False)
    chat = await sender.server.post(COMPLETIONS, **body)

    assert messages.json()["error"]["message"].startswith("prompt is too long")
    assert chat.status_code == 400
    assert chat.json()["error"]["code"] == "context_length_exceeded"


async def test_the_error_is_the_one_that_codex_knows(sender: Sender) -> None:
    """Source: openai/codex, which looks for the code in `response.failed`."""
    whole = await send(sender, RESPONSES, HALVED)
    streamed = await send(sender, RESPONSES, HALVED, stream=True)

    assert whole.status_code == 400
    assert whole.json()["error"]["code"] == "context_length_exceeded"
    events = [json.loads(line[6:]) for line in streamed.text.splitlines() if line[:6] == "data: "]
    assert [event["type"] for event in events] == [
        "response.created",
        "response.in_progress",
        "response.failed",
    ]
    assert events[-1]["response"]["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize(
    ("setting", "api", "status"),
    [
        (LongPrompts.ALL, CHAT, 400),
        (LongPrompts.ALL, COMPLETIONS, 400),
        (LongPrompts.ALL, MESSAGES, 400),
        (LongPrompts.NONE, MESSAGES, 200),
        (LongPrompts.NONE, RESPONSES, 200),
    ],
)
async def test_a_setting_decides(
    tmp_path: Path, setting: LongPrompts, api: str, status: int
) -> None:
    async with serving(tmp_path, long_prompts=setting) as server:
        reply = await send(Sender(server), api, HALVED)

    assert reply.status_code == status
