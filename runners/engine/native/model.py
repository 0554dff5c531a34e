"""llama_model: a loaded model file, the placement of its layers, and its LoRA adapters."""

import ctypes
from collections.abc import Callable
from typing import Any

from runners.engine.native.adapters import AdapterLoader
from runners.engine.native.llama import LoadError, device_pointer, lib
from runners.engine.native.model_file import LOAD_MAPPED, LOAD_READ, load_model_file
from runners.engine.native.vocab import Vocab
from runners.protocol.adapters import Adapter, Adapters
from runners.protocol.load_spec import LoadSpec

_SPLIT_NONE, _SPLIT_LAYER = 0, 1
_POOLING_NONE = "0"


class Model:
    """A loaded model file and its adapters. Raises LoadError."""

    def __init__(self, spec: LoadSpec, on_progress: Callable[[float], None]) -> None:
        params = lib.llama_model_default_params()
        params.n_gpu_layers = spec.placement.n_gpu_layers
        params.no_alloc = spec.no_weights
        params.load_mtp = spec.predicts
        # Planned memory has no pages to map a file to.
        mapped = spec.use_mmap and not spec.no_weights
        params.load_mode = LOAD_MAPPED if mapped else LOAD_READ
        self._place(params, spec)
        self._on_progress = on_progress
        self._progress = lib.llama_progress_callback(self._report)
        params.progress_callback = self._progress
        self.pointer = load_model_file(spec, params)
        if not self.pointer:
            raise LoadError("the model cannot be loaded")
        self.vocab = Vocab(self.pointer)
        self.n_ctx_train: int = lib.llama_model_n_ctx_train(self.pointer)
        self.n_embd: int = lib.llama_model_n_embd_out(self.pointer)
        self.n_embd_input: int = lib.llama_model_n_embd_inp(self.pointer)
        self.n_layer: int = lib.llama_model_n_layer(self.pointer)
        self.n_swa: int = lib.llama_model_n_swa(self.pointer)
        self.needs_encoder = bool(lib.llama_model_has_encoder(self.pointer))
        self.has_attention = not lib.llama_model_is_recurrent(self.pointer)
        """Whether some layers have a KV cache; without, all memory is one state per sequence."""
        self.is_recurrent = bool(not self.has_attention or lib.llama_model_is_hybrid(self.pointer))
        self.architecture = self._metadata("general.architecture")
        self.pools = self._metadata(f"{self.architecture}.pooling_type") not in {"", _POOLING_NONE}
        self.default_adapters: Adapters = tuple(map(Adapter, spec.adapters))
        """What requests use that name none."""
        self.adapters = AdapterLoader(self.pointer)
        self.adapters.load(self.default_adapters)

    @property
    def keeps_all(self) -> bool:
        """Whether memory can go back to any earlier token, because nothing in it is overwritten."""
        return not self.is_recurrent and self.n_swa == 0

    def _report(self, progress: float, _user_data: object) -> bool:
        self._on_progress(progress)
        return True  # continue

    def _place(self, params: Any, spec: LoadSpec) -> None:
        """Set the devices; an empty list means the CPU alone, NULL would mean every GPU."""
        chosen = [device_pointer(index) for index in spec.placement.devices]
        self._devices = (ctypes.c_void_p * (len(chosen) + 1))(*chosen, None)
        params.devices = ctypes.cast(self._devices, ctypes.c_void_p)
        params.split_mode = _SPLIT_LAYER if len(chosen) > 1 else _SPLIT_NONE
        params.main_gpu = 0 if chosen else -1
        if spec.placement.split:
            room = int(lib.llama_max_devices())
            self._split = (ctypes.c_float * room)(*spec.placement.split)
            params.tensor_split = self._split

    def _metadata(self, key: str) -> str:
        buffer = ctypes.create_string_buffer(256)
        size = lib.llama_model_meta_val_str(self.pointer, key.encode(), buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace") if size >= 0 else ""
