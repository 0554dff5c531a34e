"""`scripts/on-gpu` tells what is missing instead of compiling for an hour or measuring the CPU."""

import os
import shutil
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "on-gpu"
SHELL_TOOLS = ("bash", "dirname", "env")


def _run(folder: Path, **programs: str) -> subprocess.CompletedProcess[str]:
    """Run the script where only the shell's tools and `programs` can be found."""
    for tool in SHELL_TOOLS:
        path = shutil.which(tool)
        assert path is not None
        (folder / tool).symlink_to(path)
    for name, text in programs.items():
        program = folder / name.replace("_", "-")
        program.write_text(f"#!/usr/bin/env bash\n{text}\n")
        program.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != "CUDACXX"}
    return subprocess.run(
        [SCRIPT], env=environment | {"PATH": str(folder)}, text=True, capture_output=True,
        check=False,
    )  # fmt: skip


def test_a_machine_without_a_gpu_is_told_so(tmp_path: Path) -> None:
    result = _run(tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("No NVIDIA GPU answers here")


def test_a_driver_that_finds_no_gpu_is_told_so(tmp_path: Path) -> None:
    result = _run(tmp_path, nvidia_smi="echo 'No devices were found'; exit 6")
    assert result.returncode == 1
    assert result.stderr.startswith("No NVIDIA GPU answers here")


def test_a_gpu_without_the_compiler_names_it(tmp_path: Path) -> None:
    result = _run(tmp_path, nvidia_smi="echo 'NVIDIA H200'")
    assert (result.returncode, result.stdout) == (1, "NVIDIA H200\n")
    assert "nvcc, which is not installed" in result.stderr


def test_a_complete_machine_is_measured(tmp_path: Path) -> None:
    """The engine is built for the GPU first, with the caller's own flags after ours."""
    result = _run(
        tmp_path,
        nvidia_smi="echo 'NVIDIA H200'",
        nvcc="true",
        make='echo "$CMAKE_ARGS: $*"; exit 3',
    )
    assert result.returncode == 3
    build = "-DGGML_CUDA=on -DCMAKE_CUDA_ARCHITECTURES=native : .venv/.stamps/dev models"
    assert result.stdout.splitlines()[-1] == build
