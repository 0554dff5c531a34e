"""With wheels at hand nothing is compiled, and wheels that were changed are not installed.

What was compiled is kept for the same processor, compiler and recipe, and for no others.
"""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from release import checksums
from release.names import VERSION

ROOT = Path(__file__).parents[2]
RECORDER = """#!/bin/sh
case $1 in -c) exec /usr/bin/env python3 "$@" ;; esac
shift 3
echo "$*" >>calls
cd .venv
case $1 in
cache) echo "$HOME/pip" ;;
download) mkdir llama && tar -czf engine-build/llama_cpp_python-1.tar.gz llama && rmdir llama ;;
wheel) echo "[1/2] compiled with $CMAKE_ARGS" && touch engine-build/llama_cpp_python-1.whl ;;
esac
"""
"""In the place of Python: notes what is asked of pip, and makes the files that pip would."""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone whose environment only notes what is asked of pip, where no compiler is."""
    clone = tmp_path / "clone"
    for name in ("scripts", "requirements"):
        shutil.copytree(ROOT / name, clone / name)
    (clone / "server").mkdir()
    shutil.copy(ROOT / "server" / "versions.py", clone / "server")
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").write_text(RECORDER)
    (clone / ".venv" / "bin" / "python").chmod(0o755)
    return clone


def make_wheels(folder: Path) -> Path:
    (folder / "wheels").mkdir(parents=True)
    (folder / "wheels" / "some.whl").touch()
    checksums.write(folder)
    return folder


def install(clone: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "CXX": "no-such-compiler", "HOME": str(clone)}
    environment |= variables
    return subprocess.run(
        [clone / "scripts" / "install-engine"],
        env=environment, cwd=clone, text=True, capture_output=True, check=False, timeout=60,
    )  # fmt: skip


def calls(clone: Path) -> list[str]:
    """What was asked of pip, besides removing an older engine."""
    lines = (clone / "calls").read_text().splitlines() if (clone / "calls").exists() else []
    return [line for line in lines if "uninstall" not in line]


def test_a_folder_of_wheels_is_installed_with_the_hashes_of_the_lock_file(
    clone: Path, tmp_path: Path
) -> None:
    wheels = make_wheels(tmp_path / "release")

    answer = install(clone, PADDOCK_WHEELS=str(wheels))

    assert answer.returncode == 0, answer.stderr
    others, engine, project = calls(clone)
    assert f"--no-index --only-binary :all: --find-links {wheels}/wheels" in others
    assert "--require-hashes -r .venv/without-engine.txt" in others
    assert "llama-cpp-python==" in engine
    assert f"--no-index --only-binary :all: --find-links {wheels}/wheels" in project
    assert "\nhatchling==" in (clone / ".venv" / "without-compiler.txt").read_text()
    lock = (clone / ".venv" / "without-engine.txt").read_text()
    assert "\nfastapi==" in lock
    assert "llama-cpp-python==" not in lock


def test_a_releases_archive_beside_the_clone_is_used(clone: Path, tmp_path: Path) -> None:
    make_wheels(tmp_path / "tree")
    with tarfile.open(tmp_path / f"paddock-{VERSION}-linux-x86_64.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "tree", f"paddock-{VERSION}-linux-x86_64")

    answer = install(clone)

    assert answer.returncode == 0, answer.stderr
    assert len(calls(clone)) == 3
    assert not (clone / ".venv" / "wheels").exists()


def test_wheels_that_were_changed_are_not_installed(clone: Path, tmp_path: Path) -> None:
    wheels = make_wheels(tmp_path / "release")
    (wheels / "wheels" / "some.whl").write_bytes(b"other")

    answer = install(clone, PADDOCK_WHEELS=str(wheels))

    assert answer.returncode == 1
    assert "damaged or was changed: nothing was installed" in answer.stderr
    assert calls(clone) == []


def test_without_wheels_a_compiler_is_asked_for(clone: Path) -> None:
    answer = install(clone)

    assert answer.returncode == 1
    assert "needs a C++ compiler" in answer.stderr
    assert calls(clone) == []


@pytest.fixture
def compiler(tmp_path: Path) -> str:
    """A command that only tells its version."""
    path = tmp_path / "c++"
    path.write_text("#!/bin/sh\necho c++ 1\n")
    path.chmod(0o755)
    return str(path)


def cpuinfo(folder: Path, flags: str) -> str:
    path = folder / flags
    path.write_text(f"flags : {flags}\n")
    return str(path)


def compilations(clone: Path) -> int:
    return sum(line.startswith("wheel ") for line in calls(clone))


def test_the_engine_is_compiled_from_the_pinned_source_and_then_installed(
    clone: Path, compiler: str, tmp_path: Path
) -> None:
    answer = install(clone, CXX=compiler, CPUINFO=cpuinfo(tmp_path, "avx2"))

    assert answer.returncode == 0, answer.stderr
    build, others, *_, download, wheel, engine = calls(clone)
    assert build.endswith("--require-hashes -r requirements/build.txt")
    assert others.endswith("--require-hashes -r .venv/without-engine.txt")
    assert "--require-hashes -r .venv/engine.txt" in download
    assert wheel.endswith(".venv/engine-build/source")
    assert engine.startswith("install ")
    assert engine.endswith("/llama_cpp_python-1.whl")
    assert "compiling llama.cpp: 50 %" in answer.stdout
    log = (clone / ".venv" / "install-engine.log").read_text()
    assert f"'{clone}/scripts/engine.cmake' -DGGML_NATIVE=OFF" in log
    assert "-DGGML_AVX2=ON" in log
    lock = (clone / ".venv" / "engine.txt").read_text()
    assert "\nllama-cpp-python==" in lock
    assert "fastapi==" not in lock
    assert not (clone / ".venv" / "engine-build").exists()


def test_what_was_compiled_is_installed_again_on_the_same_processor_alone(
    clone: Path, compiler: str, tmp_path: Path
) -> None:
    """A home folder, and pip's cache in it, may be shared by several machines."""
    haswell, other = cpuinfo(tmp_path, "avx2"), cpuinfo(tmp_path, "sse4_2")
    install(clone, CXX=compiler, CPUINFO=haswell)
    again = install(clone, CXX=compiler, CPUINFO=haswell)

    assert again.returncode == 0, again.stderr
    assert compilations(clone) == 1
    assert calls(clone)[-1].endswith("/llama_cpp_python-1.whl")

    install(clone, CXX=compiler, CPUINFO=other)

    assert compilations(clone) == 2


def test_a_build_with_options_is_neither_taken_from_the_cache_nor_kept(
    clone: Path, compiler: str
) -> None:
    for _ in range(2):
        answer = install(clone, CXX=compiler, CMAKE_ARGS="-DGGML_CUDA=on")
        assert answer.returncode == 0, answer.stderr

    assert compilations(clone) == 2
    assert not (clone / "pip").exists()
    assert "-DGGML_CUDA=on" in (clone / ".venv" / "install-engine.log").read_text()
