"""The files and batches of OpenAI's official Python library work against a running server."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from openai import BadRequestError, ConflictError, NotFoundError, OpenAI
from openai.types import Batch

from tests.support.live_server import live_server
from tests.support.tiny_models import CHATML, write_llama

CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    """A client of a server with a model that never ends by itself."""
    directory = tmp_path_factory.mktemp("batches")
    with live_server(directory) as server:
        weights = write_llama(directory / "tiny.gguf", chat_template=CHATML, ends=False)
        server.create("tiny", weights)
        url = f"{server.url}/v1"
        with OpenAI(base_url=url, api_key="none", timeout=60, max_retries=0) as client:
            yield client


def line(id: str, **body: Any) -> bytes:
    body = {"model": "tiny", "messages": [{"role": "user", "content": id}], **body}
    row = {"custom_id": id, "method": "POST", "url": CHAT, "body": body}
    return json.dumps(row).encode() + b"\n"


def ended(client: OpenAI, batch: Batch) -> Batch:
    while batch.status in ("validating", "in_progress", "finalizing", "cancelling"):
        time.sleep(0.05)
        batch = client.batches.retrieve(batch.id)
    return batch


def create(client: OpenAI, content: bytes) -> Batch:
    file = client.files.create(file=("in.jsonl", content), purpose="batch")
    return client.batches.create(
        input_file_id=file.id, endpoint=CHAT, completion_window="24h", metadata={"job": "night"}
    )


def test_a_batch_from_the_upload_to_the_results(client: OpenAI) -> None:
    rows = [line(str(n), temperature=0, max_tokens=4) for n in range(20)]
    batch = create(client, b"".join([*rows, line("wrong", temperature="hot")]))

    done = ended(client, batch)

    assert (done.status, done.metadata, done.model) == ("completed", {"job": "night"}, "tiny")
    assert done.request_counts is not None
    assert (done.request_counts.total, done.request_counts.failed) == (21, 1)
    assert done.usage is not None
    assert done.usage.output_tokens == 80
    assert done.output_file_id is not None
    assert done.error_file_id is not None
    content = client.files.content(done.output_file_id)
    answers = {row["custom_id"]: row for row in map(json.loads, content.text.splitlines())}
    direct = client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": "7"}], temperature=0, max_tokens=4
    )
    body = answers["7"]["response"]["body"]
    assert body["choices"][0]["message"]["content"] == direct.choices[0].message.content
    [error] = map(json.loads, client.files.content(done.error_file_id).text.splitlines())
    assert (error["custom_id"], error["response"]["status_code"]) == ("wrong", 400)


def test_files_are_listed_read_and_deleted(client: OpenAI) -> None:
    files = [
        client.files.create(
            file=(f"{n}.txt", f"file {n}".encode()),
            purpose="user_data",
            expires_after={"anchor": "created_at", "seconds": 3600},
        )
        for n in range(3)
    ]

    listed = client.files.list(purpose="user_data", limit=2, order="asc")
    assert [file.id for file in listed] == [file.id for file in files]  # over both pages
    assert client.files.retrieve(files[0].id) == files[0]
    assert client.files.content(files[0].id).read() == b"file 0"
    assert client.files.wait_for_processing(files[0].id).status == "processed"
    for file in files:
        assert client.files.delete(file.id).deleted
    with pytest.raises(NotFoundError, match="No such File object"):
        client.files.retrieve(files[0].id)


def test_batches_are_listed_over_pages_and_cancelled(client: OpenAI) -> None:
    batches = [create(client, line("endless", max_tokens=10**7)) for _ in range(3)]

    listed = [batch.id for batch in client.batches.list(limit=1)]
    assert listed[:3] == [batch.id for batch in reversed(batches)]
    for batch in batches:
        assert client.batches.cancel(batch.id).status == "cancelling"
        assert ended(client, batch).status == "cancelled"
    with pytest.raises(ConflictError, match="Cannot cancel a batch with status 'cancelled'"):
        client.batches.cancel(batches[0].id)


def test_a_file_that_is_no_input_fails_with_the_line_and_the_reason(client: OpenAI) -> None:
    done = ended(client, create(client, line("a") + b"nonsense\n" + line("a")))

    assert done.status == "failed"
    assert done.errors is not None
    found = [(error.line, error.code) for error in done.errors.data or ()]
    assert found == [(2, "invalid_json_line"), (3, "duplicate_custom_id")]
    with pytest.raises(BadRequestError, match="No such File object"):
        client.batches.create(input_file_id="file-none", endpoint=CHAT, completion_window="24h")
