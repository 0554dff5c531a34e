"""A model made from a GGUF file is prompted with the Jinja template in that file."""

import pytest

from tests.support.application import Server, lines_of
from tests.support.chat_templates import FAMILIES
from tests.support.gguf_bytes import STRING, U32, array, key, model

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


def with_template(jinja: str) -> bytes:
    return model("llama", *TOKENS, key("tokenizer.chat_template", STRING, jinja))


async def prompt_of(server: Server, name: str = "new") -> str:
    answer = await server.post(
        "/api/chat", model=name, messages=CONVERSATION, stream=False, _debug_render_only=True
    )
    return str(answer.json()["_debug_info"]["rendered_template"])


async def test_the_template_of_the_file_is_shown_and_used(server: Server) -> None:
    await server.create("new", with_template(FAMILIES["zephyr"]))

    shown = (await server.post("/api/show", model="new")).json()
    assert shown["template"] == FAMILIES["zephyr"]
    assert shown["capabilities"] == ["completion"]
    assert await prompt_of(server) == (
        "<|system|>\nBe brief.</s>\n<|user|>\nHi</s>\n<|assistant|>\nHello</s>\n"
        "<|user|>\nBye</s>\n<|assistant|>\n"
    )


async def test_models_of_the_same_weights_keep_their_own_templates(server: Server) -> None:
    """They share a runner, which is asked for its special tokens once; `new` changes meanwhile."""
    await server.create("new", with_template(FAMILIES["zephyr"]))
    before = await prompt_of(server)
    template = {"from": "new", "template": "{{ .Prompt }}?", "stream": False}

    assert (await server.post("/api/create", model="other", **template)).status_code == 200
    assert await prompt_of(server, "other") == "Hi?HelloBye?"
    assert await prompt_of(server) == before
    assert (await server.post("/api/create", model="new", **template)).status_code == 200
    assert await prompt_of(server) == "Hi?HelloBye?"


async def test_a_system_text_reaches_a_model_whose_template_refuses_one(server: Server) -> None:
    await server.create("new", with_template(FAMILIES["gemma-instruct"]))

    assert "<start_of_turn>user\nBe brief.\n\nHi<end_of_turn>" in await prompt_of(server)


async def test_bos_is_said_once(server: Server) -> None:
    """The tokenizer puts it before a prompt, and the template prints it too."""
    own = "{{ bos_token }}{% for m in messages %}[{{ m.content }}]{% endfor %}{# tools #}"
    await server.create("new", with_template(own))
    hi = [{"role": "user", "content": "Hi"}]

    said = await server.post("/api/chat", model="new", messages=hi, stream=False)
    counted = await server.post("/v1/messages/count_tokens", model="new", messages=hi)
    asked = {"model": "new", "prompt": "Hi", "context": [65, 66], "stream": False}
    went_on = await server.post("/api/generate", **asked)

    assert said.json()["message"]["content"] == "[Hi]"
    assert counted.json() == {"input_tokens": len("[Hi]")}
    assert went_on.json()["response"] == "AB[Hi]"


@pytest.mark.parametrize("jinja", ["{% for", "{{ 'x' * 10**9 }}"], ids=["broken", "hostile"])
async def test_a_model_is_made_although_its_template_is_no_good(server: Server, jinja: str) -> None:
    files = {"m.gguf": await server.upload(with_template(jinja))}

    answer = await server.post("/api/create", model="new", files=files)

    assert lines_of(answer)[-1]["status"] == "success"
