"""Requests as clients of early servers write them, which today's servers only partly take."""

import hashlib
import math
from typing import Any

import pytest

from tests.api.conftest import TEXT_MODEL
from tests.support.application import Server, lines_of
from tests.support.gguf_bytes import adapter

pytestmark = pytest.mark.anyio

DIGEST = f"sha256:{hashlib.sha256(TEXT_MODEL).hexdigest()}"


async def show(server: Server, **body: Any) -> dict[str, Any]:
    answer = await server.post("/api/show", **body)
    assert answer.status_code == 200
    return dict(answer.json())


@pytest.mark.parametrize(
    "names",
    [
        {"name": "teller"},
        {"name": "teller", "model": ""},
        {"name": "teller", "model": None},
        {"name": "base", "model": "teller"},
    ],
)
async def test_a_model_is_shown_by_name_unless_model_says_another(
    shared: Server, names: dict[str, Any]
) -> None:
    assert (await show(shared, **names))["system"] == "Be brief."


async def test_a_model_is_deleted_by_name(server: Server) -> None:
    answer = await server.http.request("DELETE", "/api/delete", json={"name": "base"})

    assert answer.status_code == 200
    assert await server.installed() == []


async def test_a_model_is_created_by_name_from_the_text_of_a_modelfile(server: Server) -> None:
    modelfile = """
        # A pirate.
        FROM base
        SYSTEM \"""You are a pirate.
        Say so.\"""
        TEMPLATE {{ .System }}: {{ .Prompt }}
        PARAMETER temperature 0.5
        PARAMETER stop ARR
        PARAMETER stop OHOI
        MESSAGE user Hi
        MESSAGE assistant Arr
        LICENSE MIT
    """
    answer = await server.post("/api/create", name="pirate", modelfile=modelfile)

    assert lines_of(answer)[-1] == {"status": "success"}
    told = await show(server, name="pirate")
    assert told["system"].startswith("You are a pirate.")
    assert told["template"] == "{{ .System }}: {{ .Prompt }}"
    assert told["parameters"].split() == ["stop", '"ARR"', "stop", '"OHOI"', "temperature", "0.5"]
    assert [m["content"] for m in told["messages"]] == ["Hi", "Arr"]
    assert told["license"] == "MIT"


async def test_a_modelfile_may_name_files_that_were_uploaded(server: Server) -> None:
    lora = await server.upload(adapter())
    modelfile = f"FROM @{DIGEST}\nADAPTER @{lora}\n"

    answer = await server.post("/api/create", name="new", modelfile=modelfile, stream=False)

    assert answer.json() == {"status": "success"}
    assert "ADAPTER" in (await show(server, name="new"))["modelfile"]


async def test_the_modelfile_that_a_model_is_shown_with_can_be_sent_back(server: Server) -> None:
    """Its first line names the file as the server knows it, which no client may do."""
    await server.create("brief", "base", system="Be brief.", parameters={"top_k": 3})
    lines = (await show(server, name="brief"))["modelfile"].splitlines()
    modelfile = "\n".join("FROM base" if line.startswith("FROM") else line for line in lines)

    await server.post("/api/create", name="again", modelfile=modelfile, stream=False)

    told = await show(server, name="again")
    assert (told["system"], told["parameters"].split()) == ("Be brief.", ["top_k", "3"])


async def test_fields_of_the_request_win_over_the_modelfile(server: Server) -> None:
    modelfile = "FROM no-such-model\nSYSTEM old\nPARAMETER top_k 1\nPARAMETER top_p 0.5\n"

    answer = await server.post(
        "/api/create",
        **{
            "name": "new",
            "modelfile": modelfile,
            "from": "base",
            "system": "new",
            "parameters": {"top_k": 2},
        },
    )

    assert lines_of(answer)[-1] == {"status": "success"}
    told = await show(server, name="new")
    assert told["system"] == "new"
    assert told["parameters"].split() == ["top_k", "2", "top_p", "0.5"]


@pytest.mark.parametrize(
    ("modelfile", "error"),
    [
        ("SYSTEM x", "no FROM line"),
        ("FROM base\nPARAMETER wrong 1", "unknown parameter 'wrong'"),
        ("FROM base\nPARAMETER temperature hot", "invalid float value [hot]"),
        ("FROM base\nNONSENSE x", "command must be one of"),
        ("FROM base\nMESSAGE pirate x", "message role must be one of"),
        ('FROM base\nSYSTEM """x', "unexpected EOF"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_a_modelfile_with_a_mistake_is_refused_with_the_parsers_words(
    shared: Server, modelfile: str, error: str, stream: bool
) -> None:
    answer = await shared.post("/api/create", name="new", modelfile=modelfile, stream=stream)

    assert answer.status_code == 400
    assert error in answer.json()["error"]


@pytest.mark.parametrize("source", ["/etc/passwd", "./model.gguf", "~/model.gguf", "C:/a/b/c.gguf"])
async def test_a_modelfile_reads_no_file_of_the_server(shared: Server, source: str) -> None:
    answer = await shared.post("/api/create", name="new", modelfile=f"FROM {source}")

    assert answer.status_code == 400


async def test_the_embedding_of_a_chat_model_is_one_vector_of_unit_length(shared: Server) -> None:
    answer = await shared.post("/api/embeddings", model="base", prompt="hello")

    assert set(answer.json()) == {"embedding"}
    assert math.hypot(*answer.json()["embedding"]) == pytest.approx(1)


async def test_a_duration_may_be_text(shared: Server) -> None:
    answer = await shared.post("/api/generate", model="base", prompt="a", keep_alive="5m")

    assert answer.status_code == 200


async def test_a_model_is_listed_by_the_bare_digest_of_its_manifest(shared: Server) -> None:
    listed = (await shared.http.get("/api/tags")).json()["models"]

    assert all(":" not in model["digest"] for model in listed)
