"""LRU cache of encoded images and audio, for the next turn of a conversation that sends them."""

from collections import OrderedDict

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.float32]
MAX_BYTES = 256 << 20
"""About thirty images of 576 tokens for a model of 4,096 dimensions, or ten minutes of speech."""


class EncodingCache:
    """Rows of embeddings by key; the least recently used are dropped first. For one thread."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._rows: OrderedDict[bytes, Rows] = OrderedDict()
        self._n_bytes = 0

    def get(self, key: bytes) -> Rows | None:
        """Return the rows of `key`, or None; counts as a use."""
        rows = self._rows.get(key)
        if rows is not None:
            self._rows.move_to_end(key)
        return rows

    def put(self, key: bytes, rows: Rows) -> None:
        """Keep `rows`, unless they alone exceed the limit."""
        if rows.nbytes > self._max_bytes or key in self._rows:
            return
        self._rows[key] = rows
        self._n_bytes += rows.nbytes
        while self._n_bytes > self._max_bytes:
            _, dropped = self._rows.popitem(last=False)
            self._n_bytes -= dropped.nbytes
