"""`paddock imatrix` measures what the layers of a model take in while it computes a text."""

from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader
from typer.testing import CliRunner, Result

from runners.engine.native.imatrix import read_imatrix
from runners.engine.native.model import Model
from runners.protocol.load_spec import LoadSpec
from server.cli import app
from tests.support.installed import store_with
from tests.support.prompts import prompt_of
from tests.support.tiny_models import write_llama

CHUNK = 512
EPSILON = 1e-5


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return write_llama(tmp_path / "model.gguf", n_ctx=1024)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(" ".join(prompt_of(700, seed=seed) for seed in range(2)))
    return path


def run(tmp_path: Path, weights: Path, *arguments: object) -> Result:
    """Install the model as `tale` and run `paddock imatrix tale`."""
    store_with(tmp_path / "models", "tale", weights.read_bytes())
    environment = {"OLLAMA_MODELS": str(tmp_path / "models")}
    return CliRunner().invoke(app, ["imatrix", "tale", *map(str, arguments)], env=environment)


def inputs_of_first_layer(weights: Path, text: str) -> np.ndarray:
    """Return the mean squares of what the first attention takes in, by columns."""
    spec = LoadSpec(weights=str(weights), n_ctx=CHUNK, n_cells=CHUNK, n_seq=1, n_batch=CHUNK)
    vocab = Model(spec, lambda _: None).vocab
    tokens = vocab.tokenize(text, add_special=False).tolist()
    body = CHUNK - vocab.adds_bos
    chunks = [tokens[i : i + body] for i in range(0, len(tokens) - body + 1, body)]
    ids = [token for chunk in chunks for token in ([vocab.bos] * vocab.adds_bos + chunk)]
    tensors = {tensor.name: tensor.data for tensor in GGUFReader(weights).tensors}
    rows = tensors["token_embd.weight"][ids].astype(np.float64)
    normal = rows / np.sqrt((rows**2).mean(axis=1, keepdims=True) + EPSILON)
    squares: np.ndarray = (normal * tensors["blk.0.attn_norm.weight"]) ** 2
    return squares.mean(axis=0)


def test_the_inputs_of_each_matrix_are_measured(tmp_path: Path, weights: Path, text: Path) -> None:
    target = tmp_path / "imatrix.gguf"

    answer = run(tmp_path, weights, text, target)

    assert answer.stdout == f"wrote {target}\n"
    found = read_imatrix(target)
    matrices = {
        tensor.name
        for tensor in GGUFReader(weights).tensors
        if len(tensor.shape) == 2 and tensor.name != "token_embd.weight"
    }
    assert found.keys() == matrices
    expected = inputs_of_first_layer(weights, text.read_text())
    np.testing.assert_allclose(found["blk.0.attn_q.weight"], expected, rtol=1e-5)


def test_a_text_that_is_too_short_is_told(tmp_path: Path, weights: Path, text: Path) -> None:
    text.write_text("too short")

    answer = run(tmp_path, weights, text, tmp_path / "imatrix.gguf")

    assert answer.exit_code == 1
    assert "at least 511 are needed" in answer.output
    assert not list(tmp_path.glob("*imatrix*"))


def test_a_file_is_not_overwritten(tmp_path: Path, weights: Path, text: Path) -> None:
    target = tmp_path / "imatrix.gguf"
    target.write_text("mine")

    assert run(tmp_path, weights, text, target).exit_code == 1
    assert target.read_text() == "mine"
