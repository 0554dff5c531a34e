"""The environment variables that runners and other child processes inherit."""

import os
from collections.abc import Mapping

# Paths of libraries, locale and devices. Nothing else, above all no secrets, is inherited.
_INHERITED_NAMES = frozenset(
    "PATH HOME USER LANG LANGUAGE TZ TMPDIR TEMP TMP SYSTEMROOT PYTHONPATH VIRTUAL_ENV "
    "LD_LIBRARY_PATH LD_PRELOAD DYLD_LIBRARY_PATH GPU_DEVICE_ORDINAL HSA_OVERRIDE_GFX_VERSION "
    "JETSON_JETPACK".split()
)
_INHERITED_PREFIXES = (
    "LC_", "CUDA_", "NVIDIA_", "NCCL_", "HIP_", "HSA_", "ROCR_", "ROCM_", "AMD_", "GGML_", "VK_",
    "ONEAPI_", "SYCL_", "ZE_", "MTL_", "OMP_", "GOMP_", "KMP_", "COVERAGE_",
)  # fmt: skip

# Otherwise a crashing ggml starts a debugger to print its stack, while clients wait.
_DEFAULTS = {"GGML_NO_BACKTRACE": "1"}


def runner_environment(source: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of `source` that a runner inherits."""
    inherited = {
        name: value
        for name, value in source.items()
        if name in _INHERITED_NAMES or name.startswith(_INHERITED_PREFIXES)
    }
    return _DEFAULTS | inherited


def child_environment() -> dict[str, str]:
    """Return the part of this process's environment that child processes inherit."""
    return runner_environment(os.environ)
