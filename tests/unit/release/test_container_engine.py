"""The wheel of the engine that an image gets: of its platform and version, else it is compiled."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "release" / "container" / "make-engine"
WHEELS = (
    "llama_cpp_python-0.1-py3-none-manylinux_2_34_x86_64.whl",
    "llama_cpp_python-1.2-py3-none-manylinux_2_34_x86_64.whl",
    "llama_cpp_python-1.2-py3-none-linux_aarch64.whl",
)
COMPILES = 9


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder as the image's build has it, with programs of Debian that are not Debian's."""
    for name in WHEELS:
        wheel = tmp_path / "wheels" / name
        wheel.parent.mkdir(exist_ok=True)
        wheel.touch()
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "run.txt").write_text("a==1 \\\nllama-cpp-python==1.2 \\\n")
    for name, script in {"dpkg": "echo amd64", "apt-get": f"exit {COMPILES}"}.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    return tmp_path


def make_engine(source: Path, wheels: str = "wheels", **environment: str) -> tuple[int, set[str]]:
    """Return the exit status and the wheels that were made."""
    variables = {"PATH": f"{source / 'bin'}{os.pathsep}{os.environ['PATH']}", **environment}
    process = subprocess.run(
        [SCRIPT, wheels, "engine"], cwd=source, env=variables, timeout=60,
        check=False, capture_output=True,
    )  # fmt: skip
    return process.returncode, {path.name for path in (source / "engine").glob("*")}


@pytest.mark.parametrize(
    ("platform", "wheel"), [({}, 1), ({"TARGETARCH": "amd64"}, 1), ({"TARGETARCH": "arm64"}, 2)]
)
def test_a_wheel_of_the_platform_and_the_pinned_version_is_used(
    source: Path, platform: dict[str, str], wheel: int
) -> None:
    assert make_engine(source, **platform) == (0, {WHEELS[wheel]})


def test_without_such_a_wheel_it_is_compiled(source: Path) -> None:
    (source / "wheels" / WHEELS[1]).unlink()
    (source / "empty").mkdir()

    assert make_engine(source) == (COMPILES, set())
    assert make_engine(source, "empty") == (COMPILES, set())


def test_an_engine_for_a_gpu_is_compiled_though_there_is_a_wheel(source: Path) -> None:
    assert make_engine(source, CMAKE_ARGS="-DGGML_CUDA=ON") == (COMPILES, set())


def test_another_processor_is_refused(source: Path) -> None:
    assert make_engine(source, TARGETARCH="riscv64") == (1, set())
