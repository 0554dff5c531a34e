"""Every type that the server offers can be written by the engine, and be used afterwards."""

from pathlib import Path

import pytest

from model_store.create.spec import CreateSpec
from model_store.gguf import read_header
from model_store.gguf.types import FILE_TYPES
from model_store.names import ModelName
from runners.engine.native.quantize import quantize
from runners.protocol.quantization import Quantize
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
