"""GGUF writer that computes and writes tensors block by block."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as Encoding
from gguf import GGUFWriter, LlamaFileType

from model_store.convert.output import OutputTensor
from model_store.convert.report import Report
from model_store.disk import require_space
from model_store.errors import CreateError

_HEADER_BYTES = 64 * 2**20
_NUMPY = {
    Encoding.F32: np.float32,
    Encoding.F16: np.float16,
    Encoding.BF16: np.uint16,
    Encoding.MXFP4: np.uint8,
}
_FILE_TYPES = {
    Encoding.F32: LlamaFileType.ALL_F32,
    Encoding.F16: LlamaFileType.MOSTLY_F16,
    Encoding.BF16: LlamaFileType.MOSTLY_BF16,
    Encoding.MXFP4: LlamaFileType.MOSTLY_MXFP4_MOE,
}


def write_gguf(
    writer: GGUFWriter, path: Path, tensors: Sequence[OutputTensor], report: Report
) -> None:
    """Write what is in `writer`, and `tensors`, to `path`.

    Raises:
        CreateError: two tensors have the same name, or one cannot be converted.
        NoSpace: the disk has no room for it.
        OSError: it cannot be written.
    """
    writer.add_quantization_version(2)
    writer.add_file_type(_file_type(tensors))
    for tensor in tensors:
        _announce(writer, tensor)
    total = sum(tensor.n_bytes for tensor in tensors)
    require_space(path.parent, total + _HEADER_BYTES)
    try:
        writer.write_header_to_file(path)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        _write_data(writer, tensors, lambda done: report.progress(done, total))
    finally:
        writer.close()


def _write_data(
    writer: GGUFWriter, tensors: Sequence[OutputTensor], report: Callable[[int], None]
) -> None:
    assert writer.fout is not None
    (file,) = writer.fout
    written = 0
    for tensor in tensors:
        writer.write_padding(file, file.tell())
        for block in tensor.blocks():
            block.tofile(file)
            written += block.nbytes
            report(written)
    writer.write_padding(file, file.tell())


def _announce(writer: GGUFWriter, tensor: OutputTensor) -> None:
    numpy_type = np.dtype(_NUMPY[tensor.encoding])
    try:
        writer.add_tensor_info(
            tensor.name, tensor.stored_shape, numpy_type, tensor.n_bytes, raw_dtype=tensor.encoding
        )
    except ValueError as e:
        raise CreateError(f'two tensors of the model become "{tensor.name}"') from e


def _file_type(tensors: Sequence[OutputTensor]) -> LlamaFileType:
    sizes = dict.fromkeys(_FILE_TYPES, 0)
    for tensor in tensors:
        if len(tensor.shape) > 1:
            sizes[tensor.encoding] += tensor.n_bytes
    return _FILE_TYPES[max(sizes, key=lambda encoding: sizes[encoding])]
