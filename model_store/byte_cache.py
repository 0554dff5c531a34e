"""LRU cache that is bounded by the bytes of what it holds, for values read from files."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from model_store.disk import FileVersion

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
_caches: "WeakSet[ByteCache[Any, Any]]" = WeakSet()


class ByteCache(Generic[K, V]):
    """Keeps what `read` returned for the keys used last; for any thread.

    `size_of` estimates the bytes of a value. One that alone exceeds `max_bytes` is returned and not
    kept. Two threads may read the same key at the same time.
    """

    def __init__(self, read: Callable[[K], V], size_of: Callable[[V], int], max_bytes: int) -> None:
        self._read, self._size_of, self._max_bytes = read, size_of, max_bytes
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._n_bytes = 0
        self._lock = threading.Lock()
        _caches.add(self)

    def __call__(self, key: K) -> V:
        """Return the value of `key`, read if it is not there; raises what `read` raises."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key][0]
        value = self._read(key)
        size = self._size_of(value)
        with self._lock:
            self._put(key, value, size)
        return value

    def forget(self, paths: Collection[Path]) -> None:
        """Drop what was read from these files: keys are a `FileVersion`, or several."""
        with self._lock:
            for key in [key for key in self._entries if any(p in paths for p in _paths(key))]:
                self._n_bytes -= self._entries.pop(key)[1]

    def _put(self, key: K, value: V, size: int) -> None:
        if size > self._max_bytes or key in self._entries:
            return
        self._entries[key] = value, size
        self._n_bytes += size
        while self._n_bytes > self._max_bytes:
            _, (_, dropped) = self._entries.popitem(last=False)
            self._n_bytes -= dropped


def forget_files(paths: Collection[Path]) -> None:
    """Drop from all caches what was read from files that are deleted.

    A server that installs and deletes models for years would fill its caches with them.
    """
    for cache in list(_caches):
        cache.forget(paths)


def _paths(key: Hashable) -> Iterator[Path]:
    for version in key if type(key) is tuple else (key,):
        if isinstance(version, FileVersion):
            yield version.path
