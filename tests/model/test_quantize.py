"""Every type that the server offers can be written by the engine, and be used afterwards."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader, quants

from model_store.create.spec import CreateSpec
from model_store.gguf import read_header
from model_store.gguf.types import FILE_TYPES
from model_store.names import ModelName
from runners.engine.native.quantize import QuantizeError, quantize
from runners.host.native_errors import describe_failure
from runners.protocol.quantization import Quantize
from tests.support.imatrices import write_gguf_imatrix, write_legacy_imatrix
from tests.support.stepped_engine import StartEngine
from tests.support.tiny_models import write_llama


def offered(name: str) -> CreateSpec:
    return CreateSpec(name=ModelName.parse("m"), quantize=name, check_template=lambda _: None)


NAMES = sorted({name for name in (*FILE_TYPES.values(), "F32") if offered(name).quantization})


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose rows are long enough for blocks of 256 numbers."""
    return write_llama(tmp_path_factory.mktemp("wide") / "wide.gguf", n_embd=256, n_layers=1)


@pytest.mark.parametrize("name", NAMES)
def test_model_of_every_type_is_written_and_writes(
    start_engine: StartEngine, wide: Path, tmp_path: Path, name: str
) -> None:
    target = tmp_path / "small.gguf"
    number = offered(name).quantization_number

    quantize(
        Quantize(source=str(wide), target=str(target), file_type=number), lambda _done, _total: None
    )

    assert read_header(target).integer("general.file_type") == number
    if name not in ("F32", "MXFP4_MOE"):
        assert target.stat().st_size < 0.6 * wide.stat().st_size
    assert start_engine(target).answer("the little dog", n_predict=3).done.n_eval > 0


def test_tensors_that_suffer_most_keep_a_larger_type(wide: Path, tmp_path: Path) -> None:
    target = tmp_path / "small.gguf"
    kept = ((r"^token_embd\.weight$", 1), (r"attn_q\.weight$", 8))
    wanted = Quantize(source=str(wide), target=str(target), file_type=15, tensor_types=kept)

    quantize(wanted, lambda _done, _total: None)

    types = {tensor.name: tensor.type for tensor in read_header(target).tensors}
    assert types["token_embd.weight"] == "F16"
    assert types["blk.0.attn_q.weight"] == "Q8_0"
    assert types["blk.0.attn_k.weight"] == "Q4_K"


IMPORTANT = slice(0, 16)
IQ2_XS, Q4_0 = 20, 2


def matrix(wide: Path) -> dict[str, np.ndarray]:
    """Return an importance matrix of which a few columns matter a thousand times as much."""
    tensors = {tensor.name: tensor.shape[0] for tensor in GGUFReader(wide).tensors}
    columns = {name: np.ones(n, np.float32) for name, n in tensors.items() if "weight" in name}
    for values in columns.values():
        values[IMPORTANT] = 1000
    return columns


def loss(wide: Path, small: Path) -> float:
    """Return the squared error of the columns that matter, of all matrices of the layer."""
    exact = {tensor.name: tensor.data for tensor in GGUFReader(wide).tensors}
    return sum(
        float(((quants.dequantize(t.data, t.tensor_type) - exact[t.name])[:, IMPORTANT] ** 2).sum())
        for t in GGUFReader(small).tensors
        if t.name.startswith("blk.0.") and exact[t.name].ndim == 2
    )


@pytest.mark.parametrize("write", [write_gguf_imatrix, write_legacy_imatrix])
def test_columns_that_matter_lose_less_by_an_importance_matrix(
    wide: Path, tmp_path: Path, write: Callable[..., Path]
) -> None:
    imatrix = write(tmp_path / "imatrix", matrix(wide))
    plain, weighed = tmp_path / "plain.gguf", tmp_path / "weighed.gguf"

    for target, path in ((plain, ""), (weighed, str(imatrix))):
        command = Quantize(source=str(wide), target=str(target), file_type=Q4_0, imatrix=path)
        quantize(command, lambda _done, _total: None)

    assert loss(wide, weighed) < 0.9 * loss(wide, plain)


def test_types_of_few_bits_are_written_with_an_importance_matrix(
    start_engine: StartEngine, wide: Path, tmp_path: Path
) -> None:
    imatrix = write_gguf_imatrix(tmp_path / "imatrix", matrix(wide))
    target = tmp_path / "small.gguf"
    command = Quantize(source=str(wide), target=str(target), file_type=IQ2_XS, imatrix=str(imatrix))

    quantize(command, lambda _done, _total: None)

    assert start_engine(target).answer("the little dog", n_predict=3).done.n_eval > 0


@pytest.mark.parametrize(
    "content", [b"", b"GGUF", b"GGUF" + 100 * b"\xff", b"\x01\0\0\0" + 64 * b"\xff"]
)
def test_a_file_that_is_no_importance_matrix_is_refused(
    wide: Path, tmp_path: Path, content: bytes
) -> None:
    imatrix = tmp_path / "imatrix"
    imatrix.write_bytes(content)
    target = str(tmp_path / "small.gguf")

    command = Quantize(source=str(wide), target=target, file_type=Q4_0, imatrix=str(imatrix))
    with pytest.raises(QuantizeError) as caught:
        quantize(command, lambda _done, _total: None)

    assert caught.value.native == "not an importance matrix"


def test_an_importance_matrix_of_another_model_is_told(wide: Path, tmp_path: Path) -> None:
    columns = {name: values[:32] for name, values in matrix(wide).items()}
    imatrix = write_gguf_imatrix(tmp_path / "imatrix", columns)
    target = str(tmp_path / "small.gguf")

    command = Quantize(source=str(wide), target=target, file_type=Q4_0, imatrix=str(imatrix))
    with pytest.raises(QuantizeError) as caught:
        quantize(command, lambda _done, _total: None)

    assert "made for another model" in describe_failure("x", caught.value.native)
