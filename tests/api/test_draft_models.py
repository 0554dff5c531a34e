"""Models with a draft model: made from an uploaded file, loaded with it, shown by `modelfile`."""

from pathlib import Path

import pytest

from tests.api.conftest import TEXT_MODEL
from tests.support.application import Server, serving
from tests.support.fake_machine import FakeMachine
from tests.support.gguf_bytes import U32, key, model

pytestmark = pytest.mark.anyio

DRAFT = model("llama", key("llama.context_length", U32, 2048), key("llama.vocab_size", U32, 32))


async def loaded_draft(server: Server, machine: FakeMachine, name: str) -> str | None:
    """Return the draft model that `name` is loaded with."""
    answer = await server.post("/api/generate", model=name, stream=False)
    assert answer.status_code == 200, answer.text
    spec = machine.loads[-1].spec
    assert spec is not None
    # Another model of the same files would share the runner.
    await server.post("/api/generate", model=name, keep_alive=0, stream=False)
    return spec.draft.path if spec.draft is not None else None


@pytest.mark.parametrize("form", ["draft_files", "modelfile"])
async def test_a_draft_model_is_loaded_beside_its_model(tmp_path: Path, form: str) -> None:
    machine = FakeMachine()
    async with serving(tmp_path, machine=machine) as server:
        await server.create("base", TEXT_MODEL)
        digest = await server.upload(DRAFT)
        if form == "modelfile":
            modelfile = f"FROM base\nDRAFT @{digest}"
            answer = await server.post(
                "/api/create", model="fast", modelfile=modelfile, stream=False
            )
            assert answer.json() == {"status": "success"}
        else:
            await server.create("fast", "base", draft_files={"d.gguf": digest})

        draft = await loaded_draft(server, machine, "fast")
        assert draft is not None
        assert draft.endswith(digest.replace(":", "-"))
        assert await loaded_draft(server, machine, "base") is None

        shown = (await server.post("/api/show", model="fast")).json()["modelfile"]
        assert f"DRAFT {draft}" in shown
        again = await server.post("/api/create", model="again", modelfile=shown, stream=False)
        assert again.json() == {"status": "success"}
        assert await loaded_draft(server, machine, "again") == draft


async def test_a_model_made_from_another_has_one_draft_model(tmp_path: Path) -> None:
    """Its own, or that of its parent."""
    machine = FakeMachine()
    async with serving(tmp_path, machine=machine) as server:
        await server.create("base", TEXT_MODEL)
        first, second = await server.upload(DRAFT), await server.upload(TEXT_MODEL)
        await server.create("fast", "base", draft_files={"d.gguf": first})
        await server.create("child", "fast", system="Hello.")
        await server.create("other", "fast", draft_files={"d.gguf": second})

        assert str(await loaded_draft(server, machine, "child")).endswith(first[7:])
        assert str(await loaded_draft(server, machine, "other")).endswith(second[7:])
        shown = (await server.post("/api/show", model="other")).json()["modelfile"]
        assert shown.count("\nDRAFT ") == 1


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"draft_files": {"../d.gguf": f"sha256:{'0' * 64}"}}, "file path must be relative"),
        ({"draft_files": {"d.gguf": "sha256:xyz"}}, "invalid digest format"),
        ({"draft_quantize": "q4_0"}, "draft models are not quantized here"),
    ],
)
async def test_a_wrong_draft_is_refused(
    tmp_path: Path, fields: dict[str, object], error: str
) -> None:
    async with serving(tmp_path) as server:
        await server.create("base", TEXT_MODEL)
        answer = await server.post(
            "/api/create", model="new", stream=False, **{"from": "base", **fields}
        )
        assert answer.status_code == 400
        assert error in answer.json()["error"]
