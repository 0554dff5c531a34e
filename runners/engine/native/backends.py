"""Load ggml's backends: the variant of the CPU backend for this processor, and GPU libraries.

An engine built with `GGML_BACKEND_DL` has each backend as a library of its own, `libggml-NAME.so`
beside `libllama.so`, and the CPU's once per instruction set (`libggml-cpu-haswell.so`, …). The
bindings load none of them. In other builds the backends are linked in, and nothing is to be loaded.

ggml's own `ggml_backend_load_all_from_path` does not tell which variant it chose, and cannot be
told which; so its choice, the highest `ggml_backend_score`, is made here.
"""

import ctypes
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PREFIX = "libggml-"
CPU_PREFIX = f"{PREFIX}cpu-"
SUFFIX = ".so"  # also on macOS, where modules are named so
_LINKED = frozenset({"base", "cpu"})
"""Libraries that others link to: what all backends share, and a CPU backend without variants."""


@dataclass(frozen=True, slots=True)
class CpuVariant:
    """A library of the CPU backend; `score` is 0 where this processor cannot run it."""

    name: str
    path: Path
    score: int


def cpu_variants(folder: Path) -> tuple[CpuVariant, ...]:
    """Return the variants in the folder, the best for this processor first."""
    found = [
        CpuVariant(path.name.removeprefix(CPU_PREFIX).removesuffix(SUFFIX), path, _score(path))
        for path in sorted(folder.glob(f"{CPU_PREFIX}*{SUFFIX}"))
    ]
    return tuple(sorted(found, key=lambda variant: -variant.score))


def _score(path: Path) -> int:
    """Return what the library itself tells about this processor; its score needs no AVX."""
    try:
        return int(ctypes.CDLL(str(path)).ggml_backend_score())
    except (OSError, AttributeError):
        return 0


def choose_variant(variants: Sequence[CpuVariant], requested: str) -> CpuVariant:
    """Return the requested variant, or the best; says on stderr why a request is not followed."""
    best = variants[0]
    if not requested:
        return best
    for variant in variants:
        if variant.name == requested and variant.score > 0:
            return variant
    usable = ", ".join(variant.name for variant in variants if variant.score > 0)
    print(
        f"PADDOCK_CPU_VARIANT is {requested}, but this processor and engine have {usable}; "
        f"{best.name} is used",
        file=sys.stderr,
        flush=True,
    )
    return best


def load_backends(library: Any, folder: Path, requested: str = "") -> str:
    """Load the backends beside `library` (libllama) that this machine can use.

    Returns the name of the CPU variant; "" where the CPU backend is linked in.
    """
    load = library.ggml_backend_load
    load.restype, load.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
    # GPUs before the CPU: the order of loading is that of the devices.
    for path in sorted(folder.glob(f"{PREFIX}*{SUFFIX}")):
        name = path.name.removeprefix(PREFIX).removesuffix(SUFFIX)
        if name not in _LINKED and not path.name.startswith(CPU_PREFIX):
            # Without its driver a GPU's library cannot be loaded, and the CPU computes.
            load(str(path).encode())
    variants = cpu_variants(folder)
    if not variants:
        return ""
    chosen = choose_variant(variants, requested)
    if not load(str(chosen.path).encode()):
        msg = f"the engine's library {chosen.path.name} cannot be loaded"
        raise ImportError(msg)
    return chosen.name
