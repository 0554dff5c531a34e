"""The engine is compiled for the instruction sets that the processor has, and no others."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "cpu-instruction-sets"
HASWELL = "fpu sse4_2 avx avx2 bmi1 bmi2 fma f16c"
SKYLAKE_SERVER = f"{HASWELL} avx512f avx512dq avx512cd avx512bw avx512vl"
SAPPHIRE_RAPIDS = (
    f"{SKYLAKE_SERVER} avx_vnni avx512vbmi avx512_vnni avx512_bf16 amx_bf16 amx_tile amx_int8"
)
GRANITE_WITHOUT_AMX = f"{SKYLAKE_SERVER} avx512vbmi avx512_vnni"
ALL = frozenset(
    "SSE42 AVX AVX_VNNI AVX2 BMI2 FMA F16C AVX512 AVX512_VBMI AVX512_VNNI AVX512_BF16 "
    "AMX_TILE AMX_INT8 AMX_BF16".split()
)
IN_HASWELL = frozenset({"SSE42", "AVX", "AVX2", "BMI2", "FMA", "F16C"})


def _options(cpuinfo: Path) -> dict[str, str]:
    environment = {**os.environ, "CPUINFO": str(cpuinfo)}
    result = subprocess.run(
        [SCRIPT], env=environment, text=True, capture_output=True, check=True, timeout=60
    )
    pairs = (option.removeprefix("-DGGML_").split("=") for option in result.stdout.split())
    return dict(pairs)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu sse4_1 sse4_2 popcnt", {"SSE42"}),
        (HASWELL, IN_HASWELL),
        (f"{HASWELL} avx512f avx512cd", IN_HASWELL),
        (SKYLAKE_SERVER, IN_HASWELL | {"AVX512"}),
        (GRANITE_WITHOUT_AMX, IN_HASWELL | {"AVX512", "AVX512_VBMI", "AVX512_VNNI"}),
        (SAPPHIRE_RAPIDS, ALL),
    ],
)
def test_each_instruction_set_of_the_processor_is_named(
    flags: str, expected: set[str], tmp_path: Path
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: spectre_v1\n\n" * 2)

    options = _options(cpuinfo)

    assert options.pop("NATIVE") == "OFF"
    assert {name for name, value in options.items() if value == "ON"} == expected
    assert options.keys() == ALL


@pytest.mark.parametrize("text", ["", "processor\t: 0\nFeatures\t: fp asimd\n"])
def test_other_processors_are_left_to_ggml(text: str, tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(text)
    assert _options(cpuinfo) == {}


def test_a_system_without_cpuinfo_is_left_to_ggml(tmp_path: Path) -> None:
    assert _options(tmp_path / "cpuinfo") == {}
