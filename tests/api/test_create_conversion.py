"""POST /api/create where files are converted, merged or quantised on the way."""

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.support import gguf_bytes, hf_folders
from tests.support.application import Server, lines_of, serving
from tests.support.calls import call
from tests.support.converting import conversions
from tests.support.hf_folders import Files
from tests.support.hf_images import gemma3
from tests.support.hf_tokenizers import encoded, pieces, size_of

pytestmark = pytest.mark.anyio

FOLDER = hf_folders.llama()
RECOMMENDED = encoded({"do_sample": True, "temperature": 0.6, "top_p": 0.9})
F16_MODEL = gguf_bytes.model(file_type=1)
CONVERTED = ["converting model", "verifying conversion", "creating", "writing manifest", "success"]


async def upload(server: Server, files: Files) -> dict[str, str]:
    return {name: await server.upload(data) for name, data in files.items()}


def kinds(lines: list[dict[str, Any]]) -> list[str]:
    """Return the statuses without what differs from one run to the next, each run of them once."""
    statuses = [line["status"].partition(" new layer")[0] for line in lines]
    return [s for n, s in enumerate(statuses) if n == 0 or s != statuses[n - 1]]


def scratch(server: Server) -> list[Path]:
    """Return the files among the blobs that are no blobs."""
    length = len("sha256-") + 64
    return [path for path in (server.store / "blobs").iterdir() if len(path.name) != length]


async def test_a_folder_becomes_a_model(server: Server) -> None:
    files = await upload(server, FOLDER)

    answer = await server.post("/api/create", model="new", files=files)

    assert kinds(lines_of(answer)) == CONVERTED
    details = (await server.post("/api/show", model="new")).json()["details"]
    assert (details["family"], details["quantization_level"]) == ("llama", "F16")
    assert scratch(server) == []


async def test_a_folder_that_knows_images_becomes_a_model_that_sees(server: Server) -> None:
    files = await upload(server, gemma3()[2])

    answer = await server.post("/api/create", model="new", files=files)

    assert kinds(lines_of(answer)) == CONVERTED
    shown = (await server.post("/api/show", model="new")).json()
    assert "vision" in shown["capabilities"]
    assert shown["projector_info"]["clip.projector_type"] == "gemma3"
    assert scratch(server) == []


async def test_what_the_makers_recommend_gives_way_to_what_is_asked(server: Server) -> None:
    files = await upload(server, {**FOLDER, "generation_config.json": RECOMMENDED})
    await server.post(
        "/api/create", model="new", files=files, parameters={"top_p": 0.5}, stream=False
    )

    told = (await server.post("/api/show", model="new")).json()

    assert told["parameters"].split() == ["temperature", "0.6", "top_p", "0.5"]


async def test_a_folder_is_quantised_on_the_way(server: Server) -> None:
    files = await upload(server, FOLDER)

    answer = await server.post("/api/create", model="new", files=files, quantize="q4_k_m")

    steps = kinds(lines_of(answer))
    assert steps.index("quantizing F16 model to Q4_K_M") == steps.index("verifying conversion") + 1
    assert steps[-1] == "success"
    assert scratch(server) == []


async def test_an_installed_model_is_quantised(server: Server) -> None:
    """The bar that clients draw needs a digest, what is done and what there is to do."""
    await server.create("wide", F16_MODEL)

    answer = await server.post(
        "/api/create", **{"model": "new", "from": "wide", "quantize": "Q8_0"}
    )

    steps = lines_of(answer)
    told = {"status": "quantizing F16 model to Q8_0", "digest": "0" * 19, "total": len(F16_MODEL)}
    half = {**told, "completed": len(F16_MODEL) // 2}
    assert [s for s in steps if "digest" in s] == [told, half, {**told, "completed": half["total"]}]
    shown = (await server.post("/api/show", model="new")).json()
    assert shown["details"]["parent_model"] == ""


async def test_an_adapter_in_a_folder_is_put_on_a_model(server: Server) -> None:
    base = hf_folders.decoder_tensors(size_of(pieces()))
    adapter, _ = hf_folders.lora(base)
    await server.post(
        "/api/create", model="whole", files=await upload(server, FOLDER), stream=False
    )

    answer = await server.post(
        "/api/create",
        **{"model": "tuned", "from": "whole", "adapters": await upload(server, adapter)},
    )

    assert kinds(lines_of(answer))[:2] == ["converting adapter", "verifying conversion"]
    assert "ADAPTER" in (await server.post("/api/show", model="tuned")).json()["modelfile"]


async def merge_dora(server: Server, **fields: object) -> list[dict[str, Any]]:
    """Create the model `tuned` with a DoRA adapter for `FOLDER`; return the lines of progress."""
    adapter, _ = hf_folders.lora(hf_folders.decoder_tensors(size_of(pieces())), dora=True)
    adapters = await upload(server, adapter)
    return lines_of(await server.post("/api/create", model="tuned", adapters=adapters, **fields))


def weights_of(shown: dict[str, Any]) -> str:
    return next(line for line in shown["modelfile"].splitlines() if line.startswith("FROM "))


async def test_a_dora_adapter_is_merged_into_a_model_of_its_own(server: Server) -> None:
    """The new model has weights of its own and no adapter; the other stays what it was."""
    files = await upload(server, {**FOLDER, "generation_config.json": RECOMMENDED})
    await server.post("/api/create", model="whole", files=files, stream=False)
    before = (await server.post("/api/show", model="whole")).json()

    lines = await merge_dora(server, **{"from": "whole"})

    assert kinds(lines)[-1] == "success"
    assert "merging the DoRA adapter into a new file of the model" in kinds(lines)
    shown = (await server.post("/api/show", model="tuned")).json()
    assert "ADAPTER" not in shown["modelfile"]
    assert shown["modelfile"].count("\nFROM ") == 1
    assert weights_of(shown) != weights_of(before)
    assert shown["parameters"] == before["parameters"]
    assert (await server.post("/api/show", model="whole")).json() == before
    assert scratch(server) == []


async def test_a_folder_and_its_dora_adapter_become_one_quantised_model(server: Server) -> None:
    lines = await merge_dora(server, files=await upload(server, FOLDER), quantize="q8_0")

    assert "quantizing F16 model to Q8_0" in kinds(lines)
    shown = (await server.post("/api/show", model="tuned")).json()
    assert "ADAPTER" not in shown["modelfile"]
    assert shown["modelfile"].count("\nFROM ") == 1
    assert scratch(server) == []


REFUSED: dict[str, tuple[Files, str]] = {
    "architecture": (
        {**FOLDER, "config.json": encoded({"architectures": ["OtherModel"]})},
        'unsupported architecture "OtherModel"; supported are LlamaForCausalLM, ',
    ),
    "weights": (
        {**FOLDER, "model.safetensors": b"\xff" * 40},
        "model.safetensors is damaged or not a safetensors file",
    ),
    "tokenizer": (
        {**FOLDER, "tokenizer.json": b"[" * 100_000}, "tokenizer.json is not valid JSON",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
async def test_a_folder_that_is_no_model_is_refused(server: Server, case: str) -> None:
    folder, sentence = REFUSED[case]
    files = await upload(server, folder)

    answer = await server.post("/api/create", model="new", files=files, stream=False)

    assert answer.status_code == 400
    assert answer.json()["error"].startswith(sentence)
    assert await server.installed() == ["base:latest"]
    assert scratch(server) == []


async def test_an_adapter_needs_a_model(server: Server) -> None:
    files = {"a.gguf": await server.upload(gguf_bytes.projector())}
    adapters = await upload(server, {"adapter.safetensors": b""})

    answer = await server.post(
        "/api/create", model="new", files=files, adapters=adapters, stream=False
    )

    assert (answer.status_code, answer.json()) == (400, {"error": "no base model was found"})


async def test_a_client_that_leaves_ends_the_conversion(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        files = await upload(server, FOLDER)
        asked = call(server, "/api/create", model="new", files=files)
        await asked.begun()

        await asked.hang_up()

        assert conversions() == []
        assert scratch(server) == []
        assert await server.installed() == []


async def test_the_server_answers_others_while_it_converts(server: Server) -> None:
    files = await upload(server, FOLDER)

    making = asyncio.create_task(server.post("/api/create", model="new", files=files))
    said = await server.post("/api/generate", model="base", prompt="hello there", stream=False)

    assert said.json()["response"].strip() == "hello there"
    assert lines_of(await making)[-1] == {"status": "success"}


async def test_parameters_without_a_from_line_go_with_the_files(server: Server) -> None:
    digest = f"sha256:{hashlib.sha256(F16_MODEL).hexdigest()}"
    await server.upload(F16_MODEL)

    answer = await server.post(
        "/api/create",
        name="new",
        modelfile="SYSTEM Be brief.\nPARAMETER top_k 3\n",
        files={"m.gguf": digest},
        stream=False,
    )

    assert answer.json() == {"status": "success"}
    told = (await server.post("/api/show", model="new")).json()
    assert (told["system"], told["parameters"].split()) == ("Be brief.", ["top_k", "3"])
