"""POST /v1/completions through the application."""

import pytest

from tests.support.application import Server
from tests.support.sse import DONE, data_of

pytestmark = pytest.mark.anyio

PATH = "/v1/completions"
TOKENS = list(b"one two")
"""The scripted runner's tokens are bytes."""


async def test_a_stream_ends_with_done(shared: Server) -> None:
    answer = await shared.post(PATH, model="base", prompt="one two", stream=True)

    assert answer.headers["content-type"] == "text/event-stream"
    *pieces, last, done = data_of(answer.text)
    assert "".join(piece["choices"][0]["text"] for piece in pieces) == "one two "
    assert last["choices"] == [{"text": "", "index": 0, "finish_reason": "stop"}]
    assert done == DONE


async def test_several_prompts_get_several_answers_each(shared: Server) -> None:
    answer = await shared.post(PATH, model="base", prompt=["a", "b c"], n=2)

    choices = answer.json()["choices"]
    assert [(c["index"], c["text"]) for c in choices] == [
        (0, "a "), (1, "a "), (2, "b c "), (3, "b c "),
    ]  # fmt: skip
    assert answer.json()["usage"]["completion_tokens"] == 6


async def test_a_prompt_may_be_wanted_back(shared: Server) -> None:
    for prompt in ("one two", TOKENS, [TOKENS]):
        answer = await shared.post(PATH, model="base", prompt=prompt, echo=True, max_tokens=1)

        assert answer.json()["choices"][0]["text"].startswith("one two")


async def test_an_empty_prompt_loads_the_model(shared: Server) -> None:
    answer = await shared.post(PATH, model="base")

    assert answer.json()["choices"] == [{"text": "", "index": 0, "finish_reason": "load"}]


async def test_a_gap_is_filled(shared: Server) -> None:
    answer = await shared.post(PATH, model="filler", prompt="left", suffix="right")

    assert answer.json()["choices"][0]["text"] == "left|right| "


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        ({"prompt": 5}, 'field "prompt" must be a text, a list of texts, or tokens'),
        ({"prompt": []}, 'field "prompt" must be a text, a list of texts, or tokens'),
        ({"prompt": ["a", 5]}, 'field "prompt" must be a text, a list of texts, or tokens'),
        ({"prompt": [-1]}, 'field "prompt" must be a text, a list of texts, or tokens'),
        ({"prompt": ["a", ""]}, "a prompt of several must not be empty"),
        ({"prompt": ["a"] * 2049}, "a request may have at most 2048 prompts"),
        ({"best_of": 3}, 'field "best_of" must equal "n"'),
        (
            {"echo": True, "logprobs": 1, "suffix": "b"},
            'field "suffix" cannot be used with logprobs of an echo',
        ),
        ({"stop": [5]}, "invalid type for 'stop' field: float64"),
    ],
)
async def test_what_cannot_be_done_is_refused(
    shared: Server, sent: dict[str, object], text: str
) -> None:
    answer = await shared.post(PATH, **{"model": "base", "prompt": "a", **sent})

    assert (answer.status_code, answer.json()["error"]["message"]) == (400, text)


async def test_one_failing_prompt_fails_the_request(shared: Server) -> None:
    answer = await shared.post(PATH, model="base", prompt=["forever", "refuse"])

    assert answer.status_code == 400
