"""Reasoning, compactions and content of replayed items are read in every documented form."""

import pytest

from tests.clients_send.items import (
    GO,
    Item,
    ask,
    of,
    said,
    user,
    words_of,
)
from tests.clients_send.sending import Sender

pytestmark = pytest.mark.anyio

CODEX_COMPACT = "openai/codex#45401"
SUB2API = "Wei-Shaw/sub2api#5084"
CODEX2API = "james-6-23/codex2api#98"
VLLM = "vllm-project/vllm#28248"
LLAMA = "am17an/llama.cpp#50"
LITELLM = "BerriAI/litellm#13420"
DSPARK = "MiaAI-Lab/DeepSeek-v4-Flash-DSpark-2x-DGX-Spark#138"
ENCRYPTED = "gAAAAABpQ2xhc3NpZmllZC1ibG9iLW9mLWFub3RoZXItc2VydmljZQ=="


ROWS: list[tuple[str, str, list[Item], str]] = [
    # Compaction.
    (
        "a compaction of another service",
        CODEX_COMPACT,
        [of("compaction", id="cmp", encrypted_content=ENCRYPTED)],
        "",
    ),
    (
        "the older name of a compaction",
        SUB2API,
        [of("compaction_summary", encrypted_content=ENCRYPTED)],
        "",
    ),
    (
        "a compaction in plain text",
        SUB2API,
        [of("compaction", encrypted_content="We fixed a.py.")],
        "user:We fixed a.py.",
    ),
    ("a compaction without content", CODEX2API, [of("compaction", encrypted_content=None)], ""),
    ("a request to compact", CODEX2API, [of("compaction_trigger")], ""),
    # Reasoning.
    (
        "reasoning in its content",
        VLLM,
        [of("reasoning", summary=[], content=[of("reasoning_text", text="Hm")]), said("A")],
        "assistant:(Hm)A",
    ),
    (
        "reasoning in its summary",
        VLLM,
        [of("reasoning", summary=[of("summary_text", text="Hm")]), said("A")],
        "assistant:(Hm)A",
    ),
    (
        "several summaries",
        VLLM,
        [
            of(
                "reasoning",
                summary=[of("summary_text", text="One"), of("summary_text", text="two")],
            ),
            said("A"),
        ],
        "assistant:(One\ntwo)A",
    ),
    (
        "reasoning as this server sends it",
        LITELLM,
        [
            of("reasoning", summary=[of("summary_text", text="Hm")], encrypted_content="Hm"),
            said("A"),
        ],
        "assistant:(Hm)A",
    ),
    (
        "encrypted reasoning beside a summary",
        LITELLM,
        [
            of("reasoning", summary=[of("summary_text", text="Hm")], encrypted_content=ENCRYPTED),
            said("A"),
        ],
        "assistant:(Hm)A",
    ),
    (
        "encrypted reasoning alone",
        LITELLM,
        [of("reasoning", summary=[], encrypted_content=ENCRYPTED), said("A")],
        "assistant:A",
    ),
    ("empty reasoning", LLAMA, [of("reasoning", id="r", summary=None), said("A")], "assistant:A"),
    (
        "reasoning without a summary",
        "ggml-org/llama.cpp#27751",
        [of("reasoning", id="r"), said("A")],
        "assistant:A",
    ),
    # Content.
    ("content that is null", DSPARK, [of("message", role="assistant", content=None)], "assistant:"),
    ("no content", DSPARK, [of("message", role="assistant")], "assistant:"),
    ("no type", DSPARK, [{"role": "assistant", "content": "A"}], "assistant:A"),
    ("a part of type text", DSPARK, [said(of("text", text="A"))], "assistant:A"),
    ("a part that is a text", DSPARK, [said("A", "B")], "assistant:AB"),
    ("a part of type summary_text", VLLM, [said(of("summary_text", text="A"))], "assistant:A"),
    ("a part of type reasoning_text", VLLM, [said(of("reasoning_text", text="A"))], "assistant:A"),
    (
        "a part that nobody knows",
        DSPARK,
        [said(of("video", url="x"), of("output_text", text="A"))],
        "assistant:A",
    ),
    (
        "a status and annotations",
        DSPARK,
        [
            said(
                of("output_text", text="A", annotations=[{}], logprobs=[]),
                status="completed",
                phase="final_answer",
            )
        ],
        "assistant:A",
    ),
]


@pytest.mark.parametrize(("kind", "source", "items", "shown"), ROWS)
async def test_content_of_an_earlier_turn_is_read_or_left_out(
    sender: Sender, kind: str, source: str, items: list[Item], shown: str
) -> None:
    reply = await ask(sender, [GO, *items, user("Why?")], store=False)

    assert words_of(reply) == f"user:Go {shown} user:Why?".split()
