"""Encoded media, kept for the next turn of a conversation that has the same one again."""

from collections import OrderedDict

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.float32]
MOST_BYTES = 256 << 20
"""About thirty pictures of 576 tokens for a model of 4,096 dimensions, or ten minutes of speech."""


class Encodings:
    """Rows of embeddings by key; those used longest ago go first. For one thread."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._rows: OrderedDict[bytes, Rows] = OrderedDict()
        self._n_bytes = 0

    def get(self, key: bytes) -> Rows | None:
        """Return the rows of `key`, or None; counts as a use."""
        rows = self._rows.get(key)
        if rows is not None:
            self._rows.move_to_end(key)
        return rows

    def put(self, key: bytes, rows: Rows) -> None:
        """Keep `rows`, unless they alone are more than fits."""
        if rows.nbytes > self._most_bytes or key in self._rows:
            return
        self._rows[key] = rows
        self._n_bytes += rows.nbytes
        while self._n_bytes > self._most_bytes:
            _, dropped = self._rows.popitem(last=False)
            self._n_bytes -= dropped.nbytes
