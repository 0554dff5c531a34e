"""POST /api/create gives a model the Go template that writes what its own in Jinja does."""

import pytest

from tests.api.conftest import EMBEDDER
from tests.support import hf_folders
from tests.support.application import Server, lines_of
from tests.support.chat_templates import FAMILIES
from tests.support.gguf_bytes import STRING, U32, array, key, model
from tests.support.hf_tokenizers import encoded

pytestmark = pytest.mark.anyio

TOKENS = (
    array("tokenizer.ggml.tokens", STRING, ["<unk>", "<s>", "</s>"]),
    key("tokenizer.ggml.bos_token_id", U32, 1),
    key("tokenizer.ggml.eos_token_id", U32, 2),
)
CONVERSATION = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "Bye"},
]


def speaking(jinja: str) -> bytes:
    return model("llama", *TOKENS, key("tokenizer.chat_template", STRING, jinja))


async def statuses(server: Server, content: bytes, /, **fields: object) -> list[str]:
    files = {"m.gguf": await server.upload(content)}
    answer = await server.post("/api/create", model="new", files=files, **fields)
    return [line["status"] for line in lines_of(answer)]


async def prompt_of(server: Server) -> str:
    answer = await server.post(
        "/api/chat", model="new", messages=CONVERSATION, stream=False, _debug_render_only=True
    )
    return str(answer.json()["_debug_info"]["rendered_template"])


async def test_the_template_is_named_shown_and_used(server: Server) -> None:
    told = await statuses(server, speaking(FAMILIES["zephyr"]))

    assert "using autodetected template zephyr" in told
    shown = (await server.post("/api/show", model="new")).json()
    assert shown["template"].startswith("{{ range $i, $_ := .Messages }}")
    assert [line.split()[1] for line in shown["parameters"].splitlines()] == [
        '"<|system|>"', '"</s>"', '"<|user|>"', '"<|assistant|>"',
    ]  # fmt: skip
    assert shown["capabilities"] == ["completion"]
    assert await prompt_of(server) == (
        "<|system|>\nBe brief.</s>\n<|user|>\nHi</s>\n<|assistant|>\nHello</s>\n"
        "<|user|>\nBye</s>\n<|assistant|>\n"
    )


async def test_a_template_that_refuses_a_system_text_is_replaced_by_one_that_takes_it(
    server: Server,
) -> None:
    await statuses(server, speaking(FAMILIES["gemma-instruct"]))

    assert "<start_of_turn>user\nBe brief.\nHi<end_of_turn>" in await prompt_of(server)


async def test_a_converted_folder_is_recognised_too(server: Server) -> None:
    config = {"chat_template": FAMILIES["chatml"]}
    folder = {**hf_folders.llama(), "chat_template.json": encoded(config)}
    files = {name: await server.upload(data) for name, data in folder.items()}

    answer = await server.post("/api/create", model="new", files=files)

    assert "using autodetected template chatml" in [line["status"] for line in lines_of(answer)]


async def test_bos_is_said_once(server: Server) -> None:
    """The tokenizer puts it before a prompt, and a template that is left in Jinja prints it too."""
    own = speaking("{{ bos_token }}{% for m in messages %}[{{ m.content }}]{% endfor %}{# tools #}")
    await server.create("new", own)
    hi = [{"role": "user", "content": "Hi"}]

    said = await server.post("/api/chat", model="new", messages=hi, stream=False)
    counted = await server.post("/v1/messages/count_tokens", model="new", messages=hi)
    asked = {"model": "new", "prompt": "Hi", "context": [65, 66], "stream": False}
    went_on = await server.post("/api/generate", **asked)

    assert said.json()["message"]["content"] == "[Hi]"
    assert counted.json() == {"input_tokens": len("[Hi]")}
    assert went_on.json()["response"] == "AB[Hi]"


LEFT = {
    "none": EMBEDDER,
    "tools": speaking(FAMILIES["chatml"] + "{% if tools %}{{ tools }}{% endif %}"),
    "thoughts": speaking(FAMILIES["chatml"] + "{# [THINK] … [/THINK] #}"),
    "similar": speaking(FAMILIES["chatml"].replace("<|im_end|>", "</s>")),
    "broken": speaking("{% for"),
    "hostile": speaking("{{ 'x' * 10**9 }}"),
}


@pytest.mark.parametrize("content", LEFT.values(), ids=LEFT)
async def test_every_other_model_is_made_as_it_is(server: Server, content: bytes) -> None:
    told = await statuses(server, content)

    assert told[-1] == "success"
    assert not any("autodetected" in status for status in told)
    assert "parameters" not in (await server.post("/api/show", model="new")).json()
