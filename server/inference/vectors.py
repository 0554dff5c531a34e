"""Embedding vectors: decode, normalise to unit length, truncate to fewer dimensions.

numpy is imported when the first vector is made: a tenth of the server's start would be its import.
"""

from typing import TYPE_CHECKING, TypeAlias

from model_store.gguf import GGUFHeader
from runners.protocol.messages import Embedded
from server.errors import BadRequest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Vectors: TypeAlias = "npt.NDArray[np.float32]"

MAX_VALUES = 1 << 22
"""Numbers in the vectors of one request: 16 MiB, and 50 MiB of JSON."""
_SMALLEST_NORM = 1e-12


def require_few(n_inputs: int, dim: int) -> None:
    """Raise BadRequest for more inputs than one request may have; `dim` is that of the vectors."""
    most = max(1, MAX_VALUES // max(1, dim))
    if n_inputs > most:
        raise BadRequest(
            f"{n_inputs} inputs are too many for one request: with {dim} dimensions at most {most} "
            "are embedded at once; send them in several requests"
        )


def no_vectors() -> Vectors:
    """Return an array of shape (0, 0)."""
    import numpy as np  # noqa: PLC0415 - see above

    return np.empty((0, 0), np.float32)


def vectors_of(answer: Embedded) -> Vectors:
    """Return the vectors of `answer`, float32, shape (texts, dim)."""
    import numpy as np  # noqa: PLC0415 - see above

    flat: Vectors = np.frombuffer(answer.vectors, dtype="<f4")
    vectors: Vectors = flat.reshape(-1, answer.dim)
    return vectors


def at_unit_length(vectors: Vectors) -> Vectors:
    """Scale each row to an L2 norm of 1; a row of zeros stays as it is."""
    import numpy as np  # noqa: PLC0415 - see above

    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    scaled: Vectors = (vectors / np.maximum(norms, _SMALLEST_NORM)).astype(np.float32)
    return scaled


def cut_to(vectors: Vectors, dimensions: int) -> Vectors:
    """Keep the first `dimensions` values of each row at unit length; 0 or less keeps all."""
    if 0 < dimensions < vectors.shape[1]:
        return at_unit_length(vectors[:, :dimensions])
    return vectors


def is_normalised(header: GGUFHeader) -> bool:
    """Return whether /api/embeddings returns unit vectors for this model.

    The reference does not normalise the vectors of a few BERT models unless their metadata says
    so; indexes built with those vectors must keep working.
    """
    flag = header.flag(f"{header.architecture}.normalize_embeddings")
    if header.architecture in ("nomic-bert", "nomic-bert-moe"):
        return flag is True
    if header.architecture == "bert":
        return flag is not False and header.text("tokenizer.ggml.model") == "bert"
    return True
