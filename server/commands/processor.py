"""Processor features and GPUs as the operating system tells them, for `paddock doctor`."""

import re
from pathlib import Path

_FEATURES = (
    "avx", "avx2", "f16c", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_tile",
    "asimd", "asimddp", "i8mm", "bf16", "sve", "sve2",
)  # fmt: skip
"""Flags by which llama.cpp computes faster, in the kernel's names."""

_VENDORS = {"0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel"}
_DISPLAY = "0x03"


def cpu_features(file: Path = Path("/proc/cpuinfo")) -> list[str]:
    """Return the features that matter, none where the system does not tell them."""
    try:
        text = file.read_text(errors="replace")
    except OSError:
        return []
    match = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    present = set(match[1].split()) if match else set()
    return [feature for feature in _FEATURES if feature in present]


def gpus_of_the_system(
    nvidia: Path = Path("/proc/driver/nvidia/gpus"), devices: Path = Path("/sys/bus/pci/devices")
) -> list[str]:
    """Return the GPUs that Linux sees, whether the engine can use them or not."""
    named = [_model(file) for file in sorted(nvidia.glob("*/information"))]
    if named:
        return [f"NVIDIA {name}" for name in named]
    return [
        f"{_VENDORS[vendor]} GPU"
        for device in sorted(devices.glob("*"))
        if _read(device / "class").startswith(_DISPLAY)
        and (vendor := _read(device / "vendor")) in ("0x10de", "0x1002")
    ]


def _model(file: Path) -> str:
    match = re.search(r"^Model:\s*(?:NVIDIA )?(.+)$", _read(file), re.MULTILINE)
    return match[1].strip() if match else "GPU"


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""
