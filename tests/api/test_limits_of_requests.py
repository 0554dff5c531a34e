"""Contexts, batches and limits of answers: alike whatever is loaded, refused where absurd."""

from typing import Any

import pytest

from tests.support.application import Server

pytestmark = pytest.mark.anyio

CHAT = [{"role": "user", "content": "one two three"}]
TOO_LONG = "the input length exceeds the context length"
WARM: list[dict[str, Any]] = [{}, {"num_ctx": 8}, {"num_ctx": 300}, {"num_batch": 64}]
"""Options of the request that loaded the model; the first has none."""


@pytest.fixture
async def cold(shared: Server) -> Server:
    """A server that has loaded neither model."""
    for name in ("base", "embedder"):
        await shared.post("/api/embed", model=name, keep_alive=0)
    return shared


# The context of embeddings. Every character is a token of the scripted runner.


@pytest.mark.parametrize("warm", WARM, ids=str)
@pytest.mark.parametrize("name", ["base", "embedder"])
@pytest.mark.parametrize(
    ("options", "n_tokens"),
    [({"num_ctx": 10}, 10), ({"num_ctx": 200}, 200), ({"num_ctx": 400}, 400), ({}, 600)],
    ids=str,
)
async def test_an_embedded_text_is_cut_alike_whatever_is_loaded(
    cold: Server, warm: dict[str, Any], name: str, options: dict[str, Any], n_tokens: int
) -> None:
    await cold.post("/api/embed", model=name, input="x", options=warm)

    answer = await cold.post("/api/embed", model=name, input="a" * 600, options=options)

    # The embedder was trained with 512 tokens, the other model with 4096.
    expected = min(n_tokens, 512) if name == "embedder" else n_tokens
    assert answer.json()["prompt_eval_count"] == expected


@pytest.mark.parametrize("warm", WARM, ids=str)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/embed", {"input": "a" * 20, "truncate": False}),
        ("/api/embed", {"input": ["a", "a" * 20], "truncate": False}),
        ("/api/embed", {"input": "é" * 11, "truncate": False}),
        ("/api/embeddings", {"prompt": "a" * 20}),
    ],
    ids=str,
)
async def test_a_text_that_must_not_be_cut_is_refused_whatever_is_loaded(
    cold: Server, warm: dict[str, Any], path: str, body: dict[str, Any]
) -> None:
    await cold.post("/api/embed", model="embedder", input="x", options=warm)

    answer = await cold.post(path, model="embedder", options={"num_ctx": 10}, **body)

    assert (answer.status_code, answer.json()) == (400, {"error": TOO_LONG})


async def test_the_context_of_the_model_counts_as_that_of_the_request(server: Server) -> None:
    await server.create("short", "base", parameters={"num_ctx": 10})
    await server.post("/api/embed", model="base", input="x", options={"num_ctx": 100})

    for path in ("/api/embed", "/v1/embeddings"):
        answer = await server.post(path, model="short", input="a" * 50)
        counted = answer.json()
        n_tokens = counted.get("prompt_eval_count") or counted["usage"]["prompt_tokens"]
        assert n_tokens == 10
    ranked = await server.post("/api/rerank", model="short", query="a" * 50, documents=["b" * 50])
    assert ranked.json()["usage"]["total_tokens"] == 20


async def test_an_embedding_without_a_context_does_not_get_that_of_another_request(
    server: Server,
) -> None:
    await server.post("/api/generate", model="base", prompt="x", options={"num_ctx": 4096})
    await server.create("default", "base")

    answer = await server.post("/api/embed", model="default", input="a" * 5000)

    assert answer.json()["prompt_eval_count"] == 4096


# Absurd contexts and batches.


@pytest.mark.parametrize("num_ctx", [0, -1, -5, -(2**31), None, 0.0])
async def test_a_context_of_nothing_is_the_default(server: Server, num_ctx: float | None) -> None:
    answer = await server.post(
        "/api/generate", model="base", prompt="one two", options={"num_ctx": num_ctx}, stream=False
    )

    assert answer.json()["response"] == "one two "
    loaded = (await server.http.get("/api/ps")).json()["models"]
    assert loaded[0]["context_length"] == 4096


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"num_ctx": 1}, 'option "num_ctx" must be at least 4, or 0 for the default, not 1'),
        ({"num_ctx": 2}, 'option "num_ctx" must be at least 4, or 0 for the default, not 2'),
        ({"num_ctx": 3.5}, 'option "num_ctx" must be at least 4, or 0 for the default, not 3'),
        ({"num_batch": 0}, 'option "num_batch" must be at least 1, not 0'),
        ({"num_batch": 2**31}, 'option "num_batch" must be at most 1048576, not 2147483648'),
        ({"num_batch": 2**40}, f'option "num_batch" must be at most 1048576, not {2**40}'),
    ],
    ids=str,
)
async def test_a_size_that_nobody_can_mean_is_refused(
    shared: Server, options: dict[str, Any], text: str
) -> None:
    requests = [
        ("/api/generate", {"prompt": "x"}),
        ("/api/chat", {"messages": CHAT}),
        ("/api/embed", {"input": "x"}),
        ("/v1/chat/completions", {"messages": CHAT}),
        ("/v1/messages", {"messages": CHAT, "max_tokens": 5}),
    ]
    for path, body in requests:
        answer = await shared.post(path, model="base", options=options, **body)

        assert answer.status_code == 400
        error = answer.json()["error"]
        assert (error if isinstance(error, str) else error["message"]) == text


@pytest.mark.parametrize("value", ["1", "2", "3"])
async def test_a_modelfile_with_such_a_context_makes_no_model(server: Server, value: str) -> None:
    answer = await server.post(
        "/api/create", model="new", modelfile=f"FROM base\nPARAMETER num_ctx {value}", stream=False
    )

    assert answer.status_code == 400
    assert "num_ctx" in answer.json()["error"]


async def test_a_modelfile_with_the_default_context_makes_a_model(server: Server) -> None:
    for value in ("0", "-1"):
        await server.post(
            "/api/create",
            model="new",
            modelfile=f"FROM base\nPARAMETER num_ctx {value}",
            stream=False,
        )
        answer = await server.post("/api/generate", model="new", prompt="one two", stream=False)
        assert answer.json()["response"] == "one two "


# Limits of answers.


@pytest.mark.parametrize(
    ("path", "field", "body"),
    [
        ("/v1/chat/completions", "max_tokens", {"messages": CHAT}),
        ("/v1/chat/completions", "max_completion_tokens", {"messages": CHAT}),
        ("/v1/chat/completions", "max_tokens", {"messages": CHAT, "stream": True}),
        ("/v1/responses", "max_output_tokens", {"input": "one two three"}),
    ],
)
async def test_an_answer_of_no_tokens_is_refused(
    shared: Server, path: str, field: str, body: dict[str, Any]
) -> None:
    answer = await shared.post(path, model="base", **body, **{field: 0})

    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == (
        f"Invalid '{field}': integer below minimum value. Expected a value >= 1, but got 0 instead."
    )


@pytest.mark.parametrize("limit", [-1, -2, None, 3])
async def test_a_limit_below_nothing_is_none(shared: Server, limit: int | None) -> None:
    """Many clients write -1 for an answer without a limit."""
    answer = await shared.post(
        "/v1/chat/completions", model="base", messages=CHAT, max_tokens=limit
    )

    assert answer.json()["choices"][0]["message"]["content"].strip() == "one two three"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("prompt", ["one two", list(b"one two"), ["one", "two"]], ids=str)
@pytest.mark.parametrize("echo", [False, True])
async def test_a_completion_of_no_tokens_is_the_prompt_alone(
    shared: Server, stream: bool, prompt: object, echo: bool
) -> None:
    """Programs that score texts want no answer."""
    answer = await shared.post(
        "/v1/completions", model="base", prompt=prompt, max_tokens=0, echo=echo, stream=stream
    )

    assert answer.status_code == 200
    if not stream:
        texts = [choice["text"] for choice in answer.json()["choices"]]
        prompts = ["one", "two"] if prompt == ["one", "two"] else ["one two"]
        assert texts == (prompts if echo else [""] * len(prompts))
        assert {choice["finish_reason"] for choice in answer.json()["choices"]} == {"length"}
        assert answer.json()["usage"]["completion_tokens"] == 0
