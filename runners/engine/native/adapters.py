"""LoRA adapters of a model: loaded at their first use, and set for one batch after another.

All share the weights of the model; a context computes with one set of adapters at a time.
"""

import ctypes
from typing import Any

from runners.engine.native.llama import LoadError, lib
from runners.protocol.adapters import Adapters

MAX_LOADED = 32
"""Adapters in memory; the least recently used is freed for another one, and loaded again later."""


class AdapterLoader:
    """Loads the adapters of one model. For one thread."""

    def __init__(self, model: Any, max_loaded: int = MAX_LOADED) -> None:
        self._model = model
        self.max_loaded = max_loaded
        self._loaded: dict[str, Any] = {}
        """Handles by path, the least recently used first."""

    def load(self, adapters: Adapters) -> list[Any]:
        """Return the library's handles of `adapters`, which are loaded where they are not.

        Raises:
            LoadError: one is no adapter of this model.
        """
        return [self._handle(adapter.path) for adapter in adapters]

    def _handle(self, path: str) -> Any:
        handle = self._loaded.pop(path, None)
        if handle is None:
            handle = lib.llama_adapter_lora_init(self._model, path.encode())
            if not handle:
                raise LoadError("the adapter cannot be loaded")
        self._loaded[path] = handle
        return handle

    def use(self, context: Any, adapters: Adapters) -> None:
        """Let `context` compute with these adapters from the next decode on.

        A switch costs the library about the time of a step, because it plans its buffers again.
        Raises LoadError.
        """
        handles = self.load(adapters)
        if len(self._loaded) > self.max_loaded:
            self._free_unused(context, {adapter.path for adapter in adapters})
        count = len(handles)
        pointers = (lib.llama_adapter_lora_p_ctypes * count)(*handles) if count else None
        scales = (ctypes.c_float * count)(*[each.scale for each in adapters]) if count else None
        if lib.llama_set_adapters_lora(context, pointers, count, scales) != 0:
            raise LoadError("the adapter cannot be used")

    def _free_unused(self, context: Any, in_use: set[str]) -> None:
        lib.llama_set_adapters_lora(context, None, 0, None)
        for path in [path for path in self._loaded if path not in in_use]:
            if len(self._loaded) <= self.max_loaded:
                return
            lib.llama_adapter_lora_free(self._loaded.pop(path))
