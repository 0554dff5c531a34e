"""Which of several mistakes is told, and which requests pass in spite of one.

Clients send more than they need: an unload with the options of the last chat must unload.
"""

from typing import Any

import httpx
import pytest

from tests.support.application import Server

pytestmark = pytest.mark.anyio

GO = [{"role": "user", "content": "Go"}]
TOOLS = [{"type": "function", "function": {"name": "f"}}]
BAD_OPTIONS = {"seed": "x"}
BAD_DURATION = 'time: invalid duration "x"'
BAD_SEED = 'option "seed" must be of type integer'
NO_MODEL = "model 'absent' not found"
NO_THINKING = '"base" does not support thinking'
NO_TOOLS = "registry.ollama.ai/library/base:latest does not support tools"
NO_INSERT = "registry.ollama.ai/library/base:latest does not support insert"
RAW_ALONE = "raw mode does not support template, system, or context"
TOP_LOGPROBS = "top_logprobs must be between 0 and 20"
FORMAT = r'invalid format: "\"x\""; expected "json" or a valid JSON Schema object'


def told(answer: httpx.Response) -> str:
    assert answer.is_client_error
    return str(answer.json()["error"])


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"model": "absent", "keep_alive": "x"}, BAD_DURATION),
        ({"model": "absent", "top_logprobs": 21}, TOP_LOGPROBS),
        ({"model": "a@b", "options": BAD_OPTIONS}, "invalid model name"),
        ({"model": "absent", "think": True, "options": BAD_OPTIONS}, NO_MODEL),
        ({"model": "absent", "keep_alive": 0}, NO_MODEL),
        ({"model": "base", "raw": True, "system": "s", "think": True, "prompt": "a"}, RAW_ALONE),
        ({"model": "base", "raw": True, "template": "t"}, RAW_ALONE),
        ({"model": "base", "raw": True, "context": [1]}, RAW_ALONE),
        ({"model": "base", "think": True, "suffix": "s"}, NO_THINKING),
        ({"model": "embedder", "think": True}, '"embedder" does not support thinking'),
        ({"model": "embedder", "suffix": "s"}, '"embedder" does not support generate'),
        ({"model": "embedder", "options": BAD_OPTIONS}, '"embedder" does not support generate'),
        ({"model": "base", "suffix": "s", "options": BAD_OPTIONS}, NO_INSERT),
        ({"model": "base", "options": BAD_OPTIONS}, BAD_SEED),
        ({"model": "base", "prompt": "a", "options": BAD_OPTIONS, "format": "x"}, FORMAT),
        ({"model": "base", "prompt": "a", "format": "x"}, FORMAT),
    ],
)
async def test_the_first_mistake_of_a_generate_request_is_told(
    shared: Server, body: dict[str, Any], error: str
) -> None:
    assert told(await shared.post("/api/generate", **body)) == error


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"model": "", "keep_alive": "x"}, BAD_DURATION),
        ({"model": "", "top_logprobs": 21}, TOP_LOGPROBS),
        ({"model": "absent", "think": True, "options": BAD_OPTIONS}, NO_MODEL),
        ({"model": "absent", "keep_alive": 0}, NO_MODEL),
        ({"model": "base", "think": True, "tools": TOOLS}, NO_THINKING),
        ({"model": "base", "tools": TOOLS}, NO_TOOLS),
        ({"model": "base", "tools": TOOLS, "options": BAD_OPTIONS}, NO_TOOLS),
        ({"model": "embedder", "think": True}, '"embedder" does not support thinking'),
        ({"model": "embedder", "tools": TOOLS}, '"embedder" does not support chat'),
        ({"model": "base", "options": BAD_OPTIONS}, BAD_SEED),
        ({"model": "base", "messages": GO, "options": BAD_OPTIONS, "format": "x"}, FORMAT),
        ({"model": "base", "messages": GO, "format": "x"}, FORMAT),
    ],
)
async def test_the_first_mistake_of_a_chat_request_is_told(
    shared: Server, body: dict[str, Any], error: str
) -> None:
    assert told(await shared.post("/api/chat", **body)) == error


@pytest.mark.parametrize("endpoint", ["embed", "embeddings"])
async def test_a_missing_model_is_told_before_the_options_of_an_embedding(
    shared: Server, endpoint: str
) -> None:
    answer = await shared.post(f"/api/{endpoint}", model="absent", options=BAD_OPTIONS)

    assert told(answer) == 'model "absent" not found, try pulling it first'


@pytest.mark.parametrize(
    "extra",
    [
        {"options": BAD_OPTIONS},
        {"raw": True, "system": "s"},
        {"think": True},
        {"suffix": "s"},
        {"format": "x"},
        {"model": "embedder"},
    ],
    ids=str,
)
async def test_an_unload_by_generate_is_hindered_by_nothing(
    shared: Server, extra: dict[str, Any]
) -> None:
    answer = await shared.post("/api/generate", **{"model": "base", "keep_alive": 0, **extra})

    assert (answer.status_code, answer.json()["done_reason"]) == (200, "unload")


@pytest.mark.parametrize(
    "extra",
    [{"options": BAD_OPTIONS}, {"think": True}, {"tools": TOOLS}, {"model": "embedder"}],
    ids=str,
)
async def test_an_unload_by_chat_is_hindered_by_nothing(
    shared: Server, extra: dict[str, Any]
) -> None:
    answer = await shared.post("/api/chat", **{"model": "base", "keep_alive": 0, **extra})

    assert (answer.status_code, answer.json()["done_reason"]) == (200, "unload")


@pytest.mark.parametrize("extra", [{"format": "x"}, {"template": "{{"}, {"images": [""]}], ids=str)
async def test_a_load_does_not_look_at_what_only_a_prompt_needs(
    shared: Server, extra: dict[str, Any]
) -> None:
    answer = await shared.post("/api/generate", model="base", **extra)

    assert (answer.status_code, answer.json()["done_reason"]) == (200, "load")


@pytest.mark.parametrize(
    ("endpoint", "asked"), [("generate", {"prompt": "Go"}), ("chat", {"messages": GO})]
)
async def test_a_prompt_that_is_only_shown_needs_no_format(
    shared: Server, endpoint: str, asked: dict[str, Any]
) -> None:
    answer = await shared.post(
        f"/api/{endpoint}", model="base", format="x", _debug_render_only=True, **asked
    )

    assert answer.json()["_debug_info"] == {"rendered_template": "Go"}


@pytest.mark.parametrize("endpoint", ["generate", "chat", "embed", "embeddings"])
async def test_a_request_with_a_mistake_loads_nothing(server: Server, endpoint: str) -> None:
    answer = await server.post(f"/api/{endpoint}", model="base", options=BAD_OPTIONS)

    assert told(answer) == BAD_SEED
    assert await server.loaded() == []
    assert server.runners == []
