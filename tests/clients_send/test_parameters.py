"""keep_alive, effort and model options in the forms that clients send."""

import math

import pytest

from server.text.durations import keep_alive_seconds
from tests.clients_send.sending import CHAT, COMPLETIONS, RESPONSES, Sender
from tests.support.gguf_bytes import model

pytestmark = pytest.mark.anyio

KARAKEEP, WEBUI, LLMVISION, READY = (
    "karakeep-app/karakeep#2409",
    "open-webui/open-webui#753",
    "valentinfrlch/ha-llmvision#625",
    "ILikeAI/AlwaysReddy#87",
)
CRUSH, OPENCLAUDE = "charmbracelet/crush#2623", "Gitlawb/openclaude#1371"


@pytest.mark.parametrize(
    ("value", "seconds", "source"),
    [
        ("-1", math.inf, KARAKEEP),
        ("-1m", math.inf, WEBUI),
        (-1, math.inf, WEBUI),
        ("0", 0, LLMVISION),
        ("300", 300, LLMVISION),
        (" 300 ", 300, LLMVISION),
        ("2.5", 2.5, READY),
        ("30", 30, READY),
        ("1d", 86_400, READY),
        ("1d12h", 129_600, READY),
    ],
)
def test_keep_alive_is_read(value: object, seconds: float, source: str) -> None:
    assert keep_alive_seconds(value) == seconds


@pytest.mark.parametrize("value", ["", "abc", "5 minutes", "1w", "--1", "1e3", True])
def test_what_is_no_duration_stays_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"duration|type"):
        keep_alive_seconds(value)


@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "max"])
@pytest.mark.parametrize("source", [CRUSH, OPENCLAUDE])
async def test_an_effort_is_ignored_by_a_model_that_cannot_think(
    sender: Sender, effort: str, source: str
) -> None:
    name = await sender.model("{% for m in messages %}{{ m.content }}{% endfor %}")
    messages = [{"role": "user", "content": "Hi"}]
    replies = [
        await sender.server.post(
            COMPLETIONS, model=name, messages=messages, reasoning_effort=effort
        ),
        await sender.server.post(
            COMPLETIONS, model=name, messages=messages, reasoning={"effort": effort}
        ),
        await sender.server.post(RESPONSES, model=name, input="Hi", reasoning={"effort": effort}),
    ]

    assert [reply.status_code for reply in replies] == [200, 200, 200]


async def test_think_itself_stays_refused(sender: Sender) -> None:
    name = await sender.model("{% for m in messages %}{{ m.content }}{% endfor %}")
    messages = [{"role": "user", "content": "Hi"}]

    for api in (CHAT, COMPLETIONS):
        reply = await sender.server.post(api, model=name, messages=messages, think=True)
        assert reply.status_code == 400


@pytest.mark.parametrize(
    "parameters",
    [
        {"temperature": "hot"},
        {"num_ctx": "4096"},
        {"stop": 5},
        {"stop": [1]},
        {"use_mmap": "yes"},
        {"top_p": -1},
        {"num_batch": 0},
        {"seed": [1]},
    ],
    ids=str,
)
async def test_a_model_with_parameters_that_every_request_would_fail_on_is_not_created(
    sender: Sender, parameters: dict[str, object]
) -> None:
    """Source: awaescher/OllamaSharp#176."""
    digest = await sender.server.upload(model("llama"))

    reply = await sender.server.post(
        "/api/create", model="made", files={"m.gguf": digest}, parameters=parameters, stream=False
    )

    assert reply.status_code == 400
    assert next(iter(parameters)) in reply.json()["error"]


@pytest.mark.parametrize("num_ctx", [0, 0.0, None])
async def test_a_context_of_zero_is_the_default(sender: Sender, num_ctx: float | None) -> None:
    name = await sender.model("{% for m in messages %}{{ m.content }}{% endfor %}")

    await sender.server.post(CHAT, model=name, options={"num_ctx": num_ctx})
    loaded = (await sender.server.http.get("/api/ps")).json()["models"]

    assert loaded[0]["context_length"] == 4096
