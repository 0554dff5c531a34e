"""Clients find what they know from the reference server: recorded requests get the same answers.

The models have other weights here than those that were recorded, so what succeeds is compared by
its shape; `.ci/conformance` compares values where the recorded models are at hand.
"""

from pathlib import Path

import httpx

from tests.conformance.replay import Replay, recorded_cases
from tests.support.live_server import live_server
from tests.support.tiny_models import write_bert, write_llama

_EMPTY = "an empty body is called that, not EOF"
_RESPONSES = "status, store and an unknown previous response are told as OpenAI tells them"
DIFFERENT_ON_PURPOSE = {
    "body empty /v1/chat/completions": _EMPTY,
    "body empty /v1/messages": _EMPTY,
    "generate images": "a sentence, not JSON inside a string",
    "generate images raw": "a sentence, not JSON inside a string",
    "chat tool call args string": "arguments may be JSON text, as in OpenAI's API",
    "keep_alive '300'": "a number in a text is seconds",
    "chat content parts": "content may be a list of parts, as in OpenAI's API",
    "create modelfile field": "the older `modelfile` field works",
    "create quantize from quantized": "the file is of a type that can be quantised",
    "oai embed tokens": "token ids are embedded",
    "responses stream": _RESPONSES,
    "responses items": _RESPONSES,
    "responses instructions": _RESPONSES,
    "responses tools": _RESPONSES,
    "responses schema": _RESPONSES,
    "responses previous": _RESPONSES,
    "responses function output": _RESPONSES,
    "anthropic count": "tokens are counted, not estimated",
}
"""Cases in which paddock answers otherwise, and why that is better for a client."""


def test_recorded_requests_get_the_recorded_answers(tmp_path: Path) -> None:
    """One test, because the cases build on each other: see the lines of the one that differs."""
    write_llama(tmp_path / "stories260K-f32.gguf", n_ctx=512)
    write_bert(tmp_path / "tiny-bert-q8_0.gguf")
    with (
        live_server(tmp_path, OLLAMA_REGISTRY="http://127.0.0.1:9") as server,
        httpx.Client(base_url=server.url, timeout=60) as http,
    ):
        replay = Replay(http, tmp_path, stand_ins=True)
        lines = {case.id: replay.play(case) for case in recorded_cases()}

    different = {case: found for case, found in lines.items() if found}
    assert {case: different[case] for case in different.keys() - DIFFERENT_ON_PURPOSE} == {}
    assert DIFFERENT_ON_PURPOSE.keys() - different == set(), "agree now: take them off the list"
