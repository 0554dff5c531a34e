"""Open a model file with llama.cpp: by its path, or as a virtual file through a C stream."""

from typing import Any

from runners.engine.native.llama import LoadError, lib
from runners.engine.native.stream import Stream
from runners.protocol.load_spec import LoadSpec

LOAD_READ, LOAD_MAPPED = 0, 1
_NOT_LAZY = 0


def load_model_file(spec: LoadSpec, params: Any) -> Any:
    """Load the model of `spec` with llama.cpp's `params`; return its pointer, NULL on failure.

    A virtual file has no pages to map, so it is read. Raises LoadError when it cannot be opened.
    """
    if spec.view is None:
        return lib.llama_model_load_from_file(spec.weights.encode(), params)
    params.load_mode, params.lazy_mode = LOAD_READ, _NOT_LAZY
    try:
        with Stream(spec.view) as stream:
            return lib.llama_model_load_from_file_ptr(stream.pointer, params)
    except OSError as e:
        raise LoadError("the model file cannot be read") from e
