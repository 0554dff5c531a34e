"""What vLLM, SGLang and llama-server call structured output is held or refused, never ignored."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from runners.protocol.constraints import GBNF, Choice, JSONSchema, Lark, Literal, Regex
from server.errors import BadRequest
from server.openai.chat.request import conversation_of
from server.openai.chat.schemas import ChatCompletionRequest
from server.openai.completions.request import completions_of
from server.openai.completions.schemas import CompletionRequest
from tests.clients_send.sending import CHAT, COMPLETIONS, Sender

SCHEMA = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
HELD = JSONSchema(json.dumps(SCHEMA))
VLLM, SGLANG, LLAMA = (
    "vllm structured_outputs.md",
    "sglang structured_outputs.md",
    "llama.cpp server README",
)
ROOT = 'root ::= "yes" | "no"'
LARK = 'start: "yes" | "no"'
YES_NO = Choice((Literal("yes"), Literal("no")))


def in_chat(**fields: Any) -> Any:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **fields}
    return conversation_of(ChatCompletionRequest.model_validate(body), {})


def in_completions(**fields: Any) -> Any:
    body = {"model": "m", "prompt": "Hi", **fields}
    return completions_of(CompletionRequest.model_validate(body))[0]


APIS = [in_chat, in_completions]


def outputs(**fields: Any) -> dict[str, Any]:
    return {"structured_outputs": fields}


@pytest.mark.parametrize("convert", APIS)
@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        pytest.param(outputs(json=SCHEMA), HELD, id=f"json {VLLM}"),
        pytest.param(outputs(json=json.dumps(SCHEMA)), HELD, id=f"json as text {VLLM}"),
        pytest.param(
            outputs(json_object=True), JSONSchema('{"type":"object"}'), id=f"json_object {VLLM}"
        ),
        pytest.param(outputs(regex="a/b+"), Regex("a/b+"), id=f"regex {VLLM}"),
        pytest.param(outputs(choice=["yes", "no", "yes"]), YES_NO, id=f"choice {VLLM}"),
        pytest.param(outputs(grammar=ROOT), GBNF(ROOT), id=f"grammar as EBNF {VLLM}"),
        pytest.param(outputs(grammar=LARK), Lark(LARK), id=f"grammar as Lark {VLLM}"),
        pytest.param({"guided_json": SCHEMA}, HELD, id=f"guided_json {VLLM}"),
        pytest.param({"guided_regex": "a+"}, Regex("a+"), id=f"guided_regex {VLLM}"),
        pytest.param({"guided_choice": ["yes", "no"]}, YES_NO, id=f"guided_choice {VLLM}"),
        pytest.param({"guided_grammar": ROOT}, GBNF(ROOT), id=f"guided_grammar {VLLM}"),
        pytest.param(
            {"guided_json": SCHEMA, "guided_decoding_backend": "xgrammar"},
            HELD,
            id=f"with a backend {VLLM}",
        ),
        pytest.param({"json_schema": SCHEMA}, HELD, id=f"json_schema {LLAMA}"),
        pytest.param({"json_schema": json.dumps(SCHEMA)}, HELD, id=f"json_schema {SGLANG}"),
        pytest.param({"regex": "a+"}, Regex("a+"), id=f"regex {SGLANG}"),
        pytest.param({"ebnf": ROOT}, GBNF(ROOT), id=f"ebnf {SGLANG}"),
        pytest.param({"grammar": ROOT}, GBNF(ROOT), id=f"grammar {LLAMA}"),
        pytest.param(
            {"json_schema": SCHEMA, "response_format": {"type": "json_schema", "schema": SCHEMA}},
            HELD,
            id="the same form twice",
        ),
        pytest.param(
            {"guided_json": SCHEMA, "response_format": {"type": "text"}}, HELD, id="beside text"
        ),
        pytest.param(
            {"grammar": "", "guided_choice": None, "guided_json": None, "structured_outputs": None},
            None,
            id="nulls and empty texts",
        ),
        pytest.param({"structured_outputs": {"whitespace_pattern": None}}, None, id="nothing"),
    ],
)
def test_a_form_of_another_server_is_held(
    convert: Any, fields: dict[str, Any], constraint: object
) -> None:
    assert convert(**fields).constraint == constraint


@pytest.mark.parametrize("convert", APIS)
@pytest.mark.parametrize(
    ("fields", "name"),
    [
        (outputs(choice=[]), "choice"),
        (outputs(json="{"), "json"),
        (outputs(json=[1]), "json"),
        (outputs(structural_tag={"type": "tag"}), "structural_tag"),
        (outputs(json=SCHEMA, whitespace_pattern=r"\n*"), "whitespace_pattern"),
        (outputs(json=SCHEMA, regex="a"), "structured_outputs.regex"),
        ({"guided_whitespace_pattern": " *"}, "whitespace_pattern"),
        ({"guided_json": SCHEMA, "guided_regex": "a"}, "guided_json and guided_regex"),
        ({"json_schema": SCHEMA, "grammar": ROOT}, "json_schema and grammar"),
        ({"json_schema": 5}, "json_schema"),
        ({"grammar": ROOT, "grammar_lazy": True}, "grammar_lazy"),
        ({"grammar": ROOT, "response_format": {"type": "json_object"}}, "response_format"),
        ({"stop_token_ids": [2]}, "stop_token_ids"),
        ({"bad_words": ["no"]}, "bad_words"),
        ({"allowed_token_ids": [1]}, "allowed_token_ids"),
        ({"use_beam_search": True}, "use_beam_search"),
    ],
    ids=str,
)
def test_what_cannot_be_held_is_refused_by_name(
    convert: Any, fields: dict[str, Any], name: str
) -> None:
    with pytest.raises((BadRequest, ValidationError), match=name):
        convert(**fields)


@pytest.mark.parametrize("convert", APIS)
@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({"ignore_eos": True}, {"ignore_eos": True}),
        ({"min_tokens": 5}, {"min_tokens": 5}),
        ({"options": {"min_tokens": 3}}, {"min_tokens": 3}),
        ({"min_tokens": 5, "options": {"min_tokens": 3}}, {"min_tokens": 5}),
        ({"repetition_penalty": 1.5}, {"repeat_penalty": 1.5}),
        ({"repetition_penalty": 1.5, "repeat_penalty": 1.2}, {"repeat_penalty": 1.2}),
        ({"ignore_eos": None, "min_tokens": None}, {}),
    ],
    ids=str,
)
def test_options_of_other_servers_are_passed_on(
    convert: Any, fields: dict[str, Any], options: dict[str, Any]
) -> None:
    found = convert(**fields).options
    names = ("ignore_eos", "min_tokens", "repeat_penalty")

    assert {name: found[name] for name in names if name in found} == options


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"ignore_eos": True, "guided_regex": "a+"}, "ignore_eos"),
        ({"min_tokens": 4, "response_format": {"type": "json_object"}}, "min_tokens"),
        ({"min_tokens": 9, "max_tokens": 8}, "min_tokens"),
        ({"min_tokens": -1}, "min_tokens"),
        ({"ignore_eos": "yes"}, "ignore_eos"),
        ({"structured_outputs": "json"}, "structured_outputs"),
    ],
    ids=str,
)
async def test_what_contradicts_itself_is_a_400(
    sender: Sender, fields: dict[str, Any], name: str
) -> None:
    model = await sender.model("{% for m in messages %}{{ m.content }}{% endfor %}")
    messages = [{"role": "user", "content": "Hi"}]

    reply = await sender.server.post(COMPLETIONS, model=model, messages=messages, **fields)

    assert reply.status_code == 400
    assert name in reply.json()["error"]["message"]


@pytest.mark.anyio
async def test_the_native_api_has_the_same_options(sender: Sender) -> None:
    model = await sender.model("{% for m in messages %}{{ m.content }}{% endfor %}")
    messages = [{"role": "user", "content": "Hi"}]
    options = {"min_tokens": 4, "ignore_eos": True}

    held = await sender.server.post(CHAT, model=model, messages=messages, options=options)
    refused = await sender.server.post(
        CHAT, model=model, messages=messages, options=options, format="json"
    )

    assert (held.status_code, refused.status_code) == (200, 400)
