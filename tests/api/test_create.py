"""POST /api/create: a model from uploaded files or another model, told step by step."""

import hashlib
import json
from typing import Any

import pytest

from tests.api.conftest import EMBEDDER, TEXT_MODEL
from tests.support.application import Server, lines_of

pytestmark = pytest.mark.anyio

ABSENT = f"sha256:{'0' * 64}"
UNCHANGED = ["base:latest"]


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


async def test_a_model_is_made_from_an_uploaded_file(server: Server) -> None:
    digest = await server.upload(EMBEDDER)

    answer = await server.post("/api/create", model="new", files={"e.gguf": digest})

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [step["status"] for step in lines_of(answer)] == [
        "parsing GGUF",
        "verifying conversion",
        f"creating new layer {digest}",
        "writing manifest",
        "success",
    ]
    assert {*await server.installed()} == {"new:latest", "base:latest"}


async def test_a_model_is_made_from_another(server: Server) -> None:
    answer = await server.post(
        "/api/create", **{"model": "new", "from": "BASE:local", "system": "Be brief."}
    )

    assert [step["status"] for step in lines_of(answer)] == [
        f"using existing layer {digest_of(TEXT_MODEL)}",
        f"creating new layer {digest_of(b'Be brief.')}",
        "writing manifest",
        "success",
    ]
    described = (await server.post("/api/show", model="new")).json()
    assert described["system"] == "Be brief."
    assert described["details"]["parent_model"] == "base:latest"


async def test_a_client_that_does_not_stream_is_told_the_end_alone(server: Server) -> None:
    answer = await server.post("/api/create", **{"model": "new", "from": "base", "stream": False})

    assert answer.json() == {"status": "success"}
    assert answer.headers["content-type"] == "application/json"


async def test_a_parent_wins_over_files(server: Server) -> None:
    answer = await server.post(
        "/api/create", **{"model": "new", "from": "base", "files": {"a.gguf": ABSENT}}
    )

    assert lines_of(answer)[-1] == {"status": "success"}


async def test_the_new_name_takes_the_spelling_of_the_one_it_replaces(server: Server) -> None:
    await server.create("BASE", "base", system="Be brief.")

    assert await server.installed() == UNCHANGED
    assert (await server.post("/api/show", model="base")).json()["system"] == "Be brief."


async def test_blobs_that_only_the_replaced_model_needed_are_deleted(server: Server) -> None:
    await server.create("base", EMBEDDER)

    assert not server.blob(TEXT_MODEL).exists()


async def test_texts_and_lists_of_the_parent_are_replaced_and_licences_added(
    server: Server,
) -> None:
    await server.create(
        "parent",
        "base",
        system="Be brief.",
        license="MIT",
        parameters={"stop": ["a", "b"], "top_k": 3},
        messages=[{"role": "user", "content": "Hi"}],
    )
    await server.create(
        "child", "parent", license=["Apache"], system="", parameters={"stop": ["c"]}
    )

    told = (await server.post("/api/show", model="child")).json()

    assert told["license"] == "MIT\nApache"
    assert told["system"] == "Be brief."
    assert told["messages"] == [{"role": "user", "content": "Hi"}]
    assert told["parameters"].split() == ["stop", '"c"', "top_k", "3"]


async def test_info_presets_what_listings_show(server: Server) -> None:
    info = {"parameter_size": "7B", "quantization_level": "Q4_K_M", "capabilities": ["tools"]}
    await server.create("new", "base", info=info)

    told = (await server.post("/api/show", model="new")).json()

    assert told["details"]["parameter_size"] == "7B"
    assert told["details"]["quantization_level"] == "Q4_K_M"
    assert told["capabilities"] == ["tools", "completion"]


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"model": ""}, 400, "invalid model name"),
    ({"model": "a@b", "from": "base"}, 400, "invalid model name"),
    ({"model": " new", "from": "base"}, 400, "invalid model name"),
    ({"from": "a@b"}, 400, "invalid model name"),
    ({}, 400, "neither 'from' or 'files' was specified"),
    ({"files": {}}, 400, "neither 'from' or 'files' was specified"),
    ({"files": {"/a.gguf": ABSENT}}, 400, "file path must be relative"),
    ({"files": {"./a.gguf": ABSENT}}, 400, "file path must be relative"),
    ({"files": {"../a.gguf": ABSENT}}, 400, "file path must be relative"),
    ({"files": {"a.gguf/": ABSENT}}, 400, "file path must be relative"),
    ({"files": {"a.gguf": ""}}, 400, "invalid digest format"),
    ({"files": {"a.gguf": "sha256:12"}}, 400, "invalid digest format"),
    ({"files": {"a.gguf": "sha256:../../x"}}, 400, "invalid digest format"),
    ({"from": "base", "adapters": {"a": ""}}, 400, "invalid digest format"),
    ({"files": {"a.txt": digest_of(b"text")}}, 400, "unknown type"),
    (
        {"from": "base", "adapters": {"a": ABSENT, "b": ABSENT}},
        400,
        f'blob "{ABSENT}" not found',
    ),
    (
        {"from": "base", "quantize": "q5_x"},
        400,
        (
            "unsupported quantization type Q5_X - supported types are F32, F16, Q4_0, Q4_1, Q8_0, "
            "Q5_0, Q5_1, Q2_K, Q3_K_S, Q3_K_M, Q3_K_L, Q4_K_S, Q4_K_M, Q5_K_S, Q5_K_M, Q6_K, "
            "IQ4_NL, IQ3_S, IQ3_M, IQ4_XS, BF16, TQ1_0, TQ2_0, MXFP4_MOE, Q1_0"
        ),
    ),
    (
        {"from": "base", "quantize": "q8_0"},
        400,
        "quantization is only supported for F16, BF16 and F32 models",
    ),
    ({"from": "base", "info": {"base_name": 5}}, 400, 'info field "base_name" must be a string'),
    (
        {"from": "base", "info": {"context_length": "x"}},
        400,
        'info field "context_length" must be a number',
    ),
    (
        {"from": "base", "info": {"context_length": -1}},
        400,
        'info field "context_length" must be a non-negative integer',
    ),
    (
        {"from": "base", "license": 5},
        400,
        'field "license" must be a string or a list of strings',
    ),
    ({"from": "base", "stream": "yes"}, 400, 'field "stream" must be a boolean, not a string'),
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("body", "status", "error"), REFUSED)
async def test_what_cannot_be_made_is_refused_with_the_reason(
    shared: Server, stream: bool, body: dict[str, Any], status: int, error: str
) -> None:
    before = await shared.installed()
    await shared.upload(b"text")

    answer = await shared.post("/api/create", **{"model": "new", "stream": stream, **body})

    assert (answer.status_code, answer.json()) == (status, {"error": error})
    assert answer.headers["content-type"].partition(";")[0] == "application/json"
    assert await shared.installed() == before


async def test_a_template_that_cannot_be_parsed_is_refused(shared: Server) -> None:
    answer = await shared.post(
        "/api/create", **{"model": "new", "from": "base", "template": "{{ if }"}
    )

    assert answer.status_code == 400
    assert answer.json()["error"].startswith("template error: template: ")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"text", "supplied file was not in GGUF format"),
        (TEXT_MODEL[:100], "unexpected EOF"),
    ],
)
async def test_an_error_after_the_first_step_is_the_last_line(
    server: Server, content: bytes, error: str
) -> None:
    """Without a stream it is the answer."""
    digest = await server.upload(content)

    streamed = await server.post("/api/create", model="new", files={"a.gguf": digest})
    whole = await server.post("/api/create", model="new", files={"a.gguf": digest}, stream=False)

    assert streamed.status_code == 200
    assert lines_of(streamed) == [{"status": "parsing GGUF"}, {"error": error}]
    assert (whole.status_code, whole.json()) == (400, {"error": error})
    assert await server.installed() == UNCHANGED


async def test_a_file_that_was_never_uploaded_is_told_by_its_digest(server: Server) -> None:
    answer = await server.post("/api/create", model="new", files={"a.gguf": ABSENT}, stream=False)

    assert (answer.status_code, answer.json()) == (400, {"error": f'blob "{ABSENT}" not found'})


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"path": "/etc/passwd"}, 400),
        ({"from": "base", "draft_quantize": "q8_0"}, 400),
        ({"from": "base", "remote_host": "https://ollama.com"}, 403),
        ({"from": "base:cloud"}, 403),
    ],
)
async def test_what_is_not_supported_is_refused_and_not_ignored(
    shared: Server, body: dict[str, Any], status: int
) -> None:
    """The client would get another model than it asked for."""
    answer = await shared.post("/api/create", model="new", **body)

    assert answer.status_code == status
    assert "/etc" not in json.dumps(answer.json())


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"temperature": "hot"}, 'option "temperature" must be of type float32'),
        ({"num_ctx": []}, 'option "num_ctx" must be of type integer'),
        ({"stop": 5}, 'option "stop" must be of type array'),
        ({"use_mmap": "yes"}, 'option "use_mmap" must be of type boolean'),
        ({"num_batch": 0}, 'option "num_batch" must be at least 1, not 0'),
    ],
)
async def test_a_parameter_that_no_request_could_use_is_refused_when_it_is_made(
    server: Server, parameters: dict[str, object], error: str
) -> None:
    answer = await server.post(
        "/api/create", model="x", **{"from": "base"}, parameters=parameters, stream=False
    )

    assert (answer.status_code, answer.json()) == (400, {"error": error})
    assert await server.installed() == ["base:latest"]


async def test_the_modelfile_that_show_prints_makes_the_same_model(server: Server) -> None:
    await server.create("first", "base", system=' "quoted"\n', parameters={"stop": ["\t", '"""']})
    shown = (await server.post("/api/show", model="first")).json()["modelfile"]

    answer = await server.post("/api/create", model="second", modelfile=shown, stream=False)

    assert answer.json() == {"status": "success"}
    first, second = [(await server.post("/api/show", model=m)).json() for m in ("first", "second")]
    assert {key: first[key] for key in ("system", "parameters", "template")} == {
        key: second[key] for key in ("system", "parameters", "template")
    }
