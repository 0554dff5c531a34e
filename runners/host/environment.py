"""The environment variables that runners and other child processes inherit."""

import os
from collections.abc import Mapping

# Paths of libraries, locale and devices. Nothing else, above all no secrets, is inherited.
_INHERITED_NAMES = frozenset(
    "PATH HOME USER LANG LANGUAGE TZ TMPDIR TEMP TMP SYSTEMROOT PYTHONPATH VIRTUAL_ENV "
    "LD_LIBRARY_PATH LD_PRELOAD DYLD_LIBRARY_PATH GPU_DEVICE_ORDINAL HSA_OVERRIDE_GFX_VERSION "
    "JETSON_JETPACK GLIBC_TUNABLES PADDOCK_CPU_VARIANT".split()
)
_INHERITED_PREFIXES = (
    "LC_", "CUDA_", "NVIDIA_", "NCCL_", "HIP_", "HSA_", "ROCR_", "ROCM_", "AMD_", "GGML_", "VK_",
    "ONEAPI_", "SYCL_", "ZE_", "MTL_", "OMP_", "GOMP_", "KMP_", "COVERAGE_",
)  # fmt: skip

_DEFAULTS = {
    # Otherwise a crashing ggml starts a debugger to print its stack, while clients wait.
    "GGML_NO_BACKTRACE": "1",
    # Weights and KV cache lie in huge pages, which makes reading them up to a tenth faster.
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    # Threads that wait for each other sleep after some 400 microseconds of spinning (libgomp). With
    # its default they spin thirty times as long, on cores that the threads they wait for need as
    # soon as another program computes: decoding is then 20 times slower until the thread tuner
    # reacts. A tenth of this value costs 7 to 10 % of decode speed on a quiet machine.
    "GOMP_SPINCOUNT": "10000",
}


def runner_environment(source: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of `source` that a runner inherits."""
    inherited = {
        name: value
        for name, value in source.items()
        if name in _INHERITED_NAMES or name.startswith(_INHERITED_PREFIXES)
    }
    return _DEFAULTS | inherited


def child_environment(*prefixes: str) -> dict[str, str]:
    """Return the part of this process's environment that child processes inherit.

    Variables that begin with one of `prefixes` belong to it.
    """
    more = {name: text for name, text in os.environ.items() if name.startswith(prefixes)}
    return runner_environment(os.environ) | (more if prefixes else {})
