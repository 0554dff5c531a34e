"""The official Python library works against a running server without knowing what it talks to."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from ollama import Client, ResponseError

from tests.support import hf_folders
from tests.support.live_server import LiveServer, live_server
from tests.support.tiny_models import CHATML, write_llama

MODEL = "tiny:latest"
GREEDY = {"temperature": 0, "num_predict": 8}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("clients")) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: LiveServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a server that has one model, created with the library's own calls."""
    gguf = write_llama(tmp_path_factory.mktemp("gguf") / "tiny.gguf", chat_template=CHATML)
    with Client(server.url, timeout=60) as client:
        digest = client.create_blob(gguf)
        progress = client.create(MODEL, files={gguf.name: digest}, stream=True)
        assert [step.status for step in progress][-1] == "success"
        yield client


def test_generate_answers_with_text_and_counts(client: Client) -> None:
    answer = client.generate(MODEL, "Once upon a time", options=GREEDY)

    assert answer.done
    assert answer.response
    assert answer.prompt_eval_count
    assert 0 < (answer.eval_count or 0) <= GREEDY["num_predict"]


def test_a_stream_joins_to_the_answer_in_one_piece(client: Client) -> None:
    whole = client.generate(MODEL, "Once upon a time", options=GREEDY)
    parts = list(client.generate(MODEL, "Once upon a time", options=GREEDY, stream=True))

    assert "".join(part.response for part in parts) == whole.response
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]


def test_chat_answers_as_the_assistant(client: Client) -> None:
    messages = [{"role": "user", "content": "Hello"}]
    whole = client.chat(MODEL, messages, options=GREEDY)
    parts = list(client.chat(MODEL, messages, options=GREEDY, stream=True))

    assert whole.message.role == "assistant"
    assert "".join(part.message.content or "" for part in parts) == whole.message.content
    assert parts[-1].done_reason in {"stop", "length"}


def test_embed_returns_one_unit_vector_per_text(client: Client) -> None:
    answer = client.embed(MODEL, ["Hello", "there", "Hello"])

    assert len(answer.embeddings) == 3
    assert answer.embeddings[0] == pytest.approx(answer.embeddings[2], abs=1e-4)
    assert math.hypot(*answer.embeddings[1]) == pytest.approx(1, abs=1e-3)


def test_an_installed_model_is_listed_and_described(client: Client) -> None:
    [listed] = [model for model in client.list().models if model.model == MODEL]
    shown = client.show(MODEL)

    assert listed.details is not None
    assert listed.details.family == "llama"
    assert shown.modelinfo is not None
    assert shown.modelinfo["general.architecture"] == "llama"
    assert "completion" in (shown.capabilities or [])


def test_a_model_that_was_used_is_told_to_be_loaded(client: Client) -> None:
    client.generate(MODEL, "Hello", options=GREEDY, keep_alive="10m")

    [loaded] = [model for model in client.ps().models if model.model == MODEL]

    assert loaded.expires_at is not None
    assert loaded.size


def test_a_copy_answers_like_its_source_until_it_is_deleted(client: Client) -> None:
    assert client.copy(MODEL, "copied").status == "success"
    source = client.generate(MODEL, "Hello", options=GREEDY)
    copied = client.generate("copied", "Hello", options=GREEDY)
    assert client.delete("copied").status == "success"

    assert copied.response == source.response
    assert "copied:latest" not in {model.model for model in client.list().models}


def test_a_model_created_from_another_keeps_its_system_text(client: Client) -> None:
    client.create("pirate", from_=MODEL, system="Talk like a pirate.")

    assert "SYSTEM Talk like a pirate." in (client.show("pirate").modelfile or "")


@pytest.mark.parametrize("stream", [False, True])
def test_a_missing_model_is_a_response_error_with_status_404(client: Client, stream: bool) -> None:
    with pytest.raises(ResponseError) as raised:
        list(client.generate("no-such-model", "Hello", stream=stream))

    assert raised.value.status_code == 404
    assert raised.value.error == "model 'no-such-model' not found"


def test_a_wrong_option_is_a_response_error_with_status_400(client: Client) -> None:
    with pytest.raises(ResponseError) as raised:
        client.generate(MODEL, "Hello", options={"temperature": "hot"})

    assert raised.value.status_code == 400
    assert "temperature" in raised.value.error


def test_a_file_that_is_no_model_is_refused(client: Client, tmp_path: Path) -> None:
    text = tmp_path / "notes.gguf"
    text.write_text("not a model")
    digest = client.create_blob(text)

    with pytest.raises(ResponseError):
        client.create("broken", files={text.name: digest})


def test_a_folder_of_safetensors_becomes_a_model_that_writes(
    client: Client, tmp_path: Path
) -> None:
    files = {
        name: client.create_blob(path)
        for name, path in hf_folders.written(tmp_path, hf_folders.llama()).items()
    }
    for name, quantize in (("folder", None), ("small", "Q8_0")):
        progress = client.create(name, files=files, quantize=quantize, stream=True)
        assert [step.status for step in progress][-1] == "success"

    assert client.show("small").details.quantization_level == "Q8_0"
    for name in ("folder", "small"):
        assert client.generate(name, "Once upon a time", options=GREEDY).eval_count


def test_a_folder_that_llama_cpp_cannot_load_is_refused(client: Client, tmp_path: Path) -> None:
    """Its tensors have the right names, but not the sizes that its configuration tells of."""
    odd = hf_folders.llama(config={"intermediate_size": 48})
    files = {
        name: client.create_blob(path) for name, path in hf_folders.written(tmp_path, odd).items()
    }

    with pytest.raises(ResponseError, match="is of another shape than its architecture needs") as e:
        client.create("odd", files=files)

    assert e.value.status_code == 400
