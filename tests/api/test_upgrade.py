"""What the first release wrote is served by this one, which leaves the models as they were.

`tests/support/stores/0.1.0` was written by that release: two models that were created, the bundled
ones, and two stored responses. Blobs that the repository has elsewhere are not in it.
"""

import hashlib
import json
import math
import shutil
import sqlite3
from pathlib import Path

import httpx
import pytest

from model_store import bundled
from tests.support.application import Server, serving
from tests.support.tiny_models import write_llama

pytestmark = pytest.mark.anyio

FIRST_RELEASE = Path(__file__).parents[1] / "support" / "stores" / "0.1.0"
FIRST, SECOND = "resp_f39340c0212cc2bbb81d91815008fc31", "resp_c786a6ae373b3c447581d95768072e0d"
MODELS = {"base:latest", "paddock-embed:latest", "paddock:latest", "teller:latest"}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The directory as that release left it."""
    state = tmp_path / "state"
    shutil.copytree(FIRST_RELEASE, state)
    large = [write_llama(tmp_path / "base.gguf"), *Path(bundled.__path__[0]).glob("*.gguf")]
    for file in large:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        shutil.copy(file, state / "models" / "blobs" / f"sha256-{digest}")
    return state


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def ask(server: Server, **fields: object) -> httpx.Response:
    return await server.http.post("/v1/responses", json={"model": "teller", **fields})


async def test_models_and_responses_of_the_first_release_are_served(state: Path) -> None:
    async with serving(state, keep_responses=math.inf) as server:
        assert set(await server.installed()) == MODELS
        shown = (await server.post("/api/show", model="teller")).json()
        chat = await server.post(
            "/api/chat", model="teller", stream=False, messages=[{"role": "user", "content": "One"}]
        )
        stored = (await server.http.get(f"/v1/responses/{SECOND}")).json()
        third = await ask(server, input="Three", previous_response_id=SECOND)

    assert shown["system"] == "Be brief."
    assert shown["license"] == "MIT"
    assert "num_predict" in shown["parameters"]
    assert chat.status_code == 200
    assert (stored["previous_response_id"], stored["status"]) == (FIRST, "incomplete")
    assert third.status_code == 200, third.text


async def test_models_stay_as_the_first_release_wrote_them(state: Path) -> None:
    """So it can be installed again."""
    before = contents(state / "models")
    async with serving(state, keep_responses=math.inf) as server:
        await server.post("/api/generate", model="base", prompt="One", stream=False)
        await ask(server, input="Three", previous_response_id=SECOND)
        await server.post("/api/copy", source="teller", destination="copy")
        assert (
            await server.http.request("DELETE", "/api/delete", json={"model": "copy"})
        ).is_success

    assert contents(state / "models") == before


async def test_a_file_of_responses_of_a_newer_version_is_left_alone(state: Path) -> None:
    """The first release does the same with this one's: see `open_sqlite`."""
    file = state / "paddock-responses.db"
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = file.read_bytes()
    async with serving(state, keep_responses=math.inf) as server:
        answer = await ask(server, input="Three")
        missing = await ask(server, input="Three", previous_response_id=SECOND)

    assert answer.status_code == 200
    assert json.loads(answer.text)["store"] is False
    assert missing.status_code >= 400
    assert file.read_bytes() == before


async def test_files_of_a_newer_version_are_left_alone_and_the_answer_is_503(state: Path) -> None:
    database = state / "paddock-files" / "batches.db"
    database.parent.mkdir()
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = database.read_bytes()
    async with serving(state) as server:
        answers = [await server.http.get(f"/v1/{name}") for name in ("files", "batches")]
        chat = await server.post("/api/generate", model="base", prompt="One", stream=False)

    assert [answer.status_code for answer in answers] == [503, 503]
    assert "newer version" in answers[0].text
    assert chat.status_code == 200
    assert database.read_bytes() == before
