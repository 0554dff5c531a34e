"""LoRA adapters: models made from one base share its runner; requests may choose adapters."""

from typing import Any

import pytest

from tests.api.conftest import TEXT_MODEL
from tests.support.application import Server
from tests.support.gguf_bytes import U32, adapter, key, model

pytestmark = pytest.mark.anyio

MESSAGES = [{"role": "user", "content": "adapters"}]


@pytest.fixture
async def files(server: Server) -> list[str]:
    """The models `one` and `two` with an adapter each, `both` with both, `other` without `base`."""
    digests = [await server.upload(adapter(seed)) for seed in (1, 2)]
    await server.create("one", "base", adapters={"a.gguf": digests[0]})
    await server.create("two", "base", adapters={"a.gguf": digests[1]})
    lines = [f"ADAPTER @{digest}" for digest in digests]
    answer = await server.post(
        "/api/create", model="both", modelfile="\n".join(["FROM base", *lines]), stream=False
    )
    assert answer.json() == {"status": "success"}
    other = model("llama", key("llama.context_length", U32, 4096), key("llama.vocab_size", U32, 9))
    assert other != TEXT_MODEL
    await server.create("stranger", other, adapters={"a.gguf": digests[0]})
    return [digest.replace(":", "-") for digest in digests]


async def said(server: Server, name: str, **fields: Any) -> str:
    answer = await server.post("/api/chat", model=name, messages=MESSAGES, stream=False, **fields)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["message"]["content"]).strip()


async def test_models_of_one_base_share_a_runner_and_bring_their_adapters(
    server: Server, files: list[str]
) -> None:
    n_before = len(server.runners)
    first, second = files

    for _ in range(2):
        assert await said(server, "base") == "none"
        assert await said(server, "one") == f"{first}*1"
        assert await said(server, "two") == f"{second}*1"
        assert sorted((await said(server, "both")).split()) == sorted([f"{first}*1", f"{second}*1"])

    assert len(server.runners) == n_before + 1, "one copy of the weights"


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ([], "none"),
        ([{"name": "one"}], "0*1"),
        ([{"name": "one", "scale": 0.5}], "0*0.5"),
        ([{"name": "two", "scale": -1}, {"name": "one", "scale": 2}], "1*-1 0*2"),
        ([{"Name": "two:latest", "Scale": None}], "1*1"),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["base", "two"])
async def test_a_request_chooses_adapters_instead_of_those_of_its_model(
    server: Server, files: list[str], name: str, choices: list[Any], expected: str
) -> None:
    wanted = " ".join(
        f"{files[int(part[0])]}{part[1:]}" if "*" in part else part for part in expected.split()
    )

    assert await said(server, name, adapters=choices) == wanted
    generated = await server.post(
        "/api/generate", model=name, prompt="adapters", raw=True, adapters=choices, stream=False
    )
    assert generated.json()["response"].strip() == wanted
    completed = await server.post(
        "/v1/chat/completions", model=name, messages=MESSAGES, adapters=choices
    )
    assert completed.json()["choices"][0]["message"]["content"].strip() == wanted
    for path, field in (("/api/embed", "input"), ("/api/embeddings", "prompt")):
        answer = await server.post(path, model=name, adapters=choices, **{field: "text"})
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("choices", "status", "text"),
    [
        ([{"name": "none"}], 404, 'model "none" not found, try pulling it first'),
        ([{"name": "base"}], 400, 'model "base" has no adapter'),
        (
            [{"name": "stranger"}],
            400,
            'the adapter of model "stranger" is for another base model',
        ),
        ([{"name": "one", "scale": "x"}], 400, None),
        ([{"name": "one", "scale": 1000}], 400, None),
        ([{"name": "one", "scale": True}], 400, None),
        ("one", 400, None),
        (["one"], 400, None),
        ([{"name": "one"}] * 17, 400, None),
        ([{"name": "both"}] * 9, 400, "a request may have at most 16 adapters"),
    ],
    ids=str,
)
async def test_a_choice_that_cannot_be_used_is_refused(
    server: Server, files: list[str], choices: Any, status: int, text: str | None
) -> None:
    for path, body in (
        ("/api/chat", {"messages": MESSAGES}),
        ("/api/generate", {"prompt": "adapters"}),
        ("/api/embed", {"input": "text"}),
        ("/v1/chat/completions", {"messages": MESSAGES}),
    ):
        answer = await server.post(path, model="one", adapters=choices, **body)

        assert answer.status_code == status
        error = answer.json()["error"]
        shown = error if isinstance(error, str) else error["message"]
        assert text is None or shown == text
        assert "adapters" in shown or text is not None


async def test_a_model_shows_all_its_adapters_and_is_made_again_from_that(
    server: Server, files: list[str]
) -> None:
    shown = (await server.post("/api/show", model="both")).json()["modelfile"]
    await server.post("/api/create", model="again", modelfile=shown, stream=False)

    assert shown.count("\nADAPTER ") == 2
    assert await said(server, "again") == await said(server, "both")


async def test_a_model_stores_the_scale_of_its_adapters(server: Server, files: list[str]) -> None:
    """By field or by Modelfile; a request may have another, and a choice multiplies it."""
    await server.create("half", "one", parameters={"adapter_scale": 0.5})
    modelfile = (await server.post("/api/show", model="half")).json()["modelfile"]
    assert "PARAMETER adapter_scale 0.5" in modelfile
    again = await server.post("/api/create", model="again", modelfile=modelfile, stream=False)
    assert again.json() == {"status": "success"}
    first = files[0]

    for name in ("half", "again"):
        assert await said(server, name) == f"{first}*0.5"
        assert await said(server, name, options={"adapter_scale": 2}) == f"{first}*2"
    choices = [{"name": "half", "scale": 3}]
    assert await said(server, "base", adapters=choices) == f"{first}*1.5"
    assert await said(server, "half", adapters=[]) == "none"


@pytest.mark.parametrize("scale", [101, -101, "much"])
async def test_a_scale_that_is_none_is_refused(server: Server, scale: object) -> None:
    answer = await server.post(
        "/api/create", model="bad", **{"from": "base"}, parameters={"adapter_scale": scale}
    )

    assert answer.status_code == 400
    assert "adapter_scale" in answer.json()["error"]
