"""Build the wheel of the engine: llama-cpp-python with llama.cpp for every x86-64 processor."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from release.reproducible import write_zip

OPTIONS = "-DGGML_NATIVE=OFF -DGGML_BACKEND_DL=ON -DGGML_CPU_ALL_VARIANTS=ON"
UNUSED = "llama_cpp/include/**;llama_cpp/lib/cmake/**;llama_cpp/lib/pkgconfig/**"


def build(root: Path, cache: Path) -> Path:
    """Return the wheel, built anew unless the cache has one for the same source and options.

    `auditwheel` checks which glibc it needs, names it in the file's name, and adds libgomp.
    """
    lock = root / "requirements" / "run.txt"
    requirement = _requirement(lock.read_text())
    recipe = requirement + OPTIONS + UNUSED + (root / "scripts" / "engine.cmake").read_text()
    folder, recorded = cache / "engine", cache / "engine" / "recipe"
    if recorded.exists() and recorded.read_text() == recipe:
        return next(folder.glob("*.whl"))
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "unrepaired").mkdir(parents=True)
    _compile(root, folder, requirement)
    _repair(next((folder / "unrepaired").glob("*.whl")), folder)
    recorded.write_text(recipe)
    return next(folder.glob("*.whl"))


def _requirement(lock: str) -> str:
    match = re.search(r"^llama-cpp-python==.*?(?=^    # )", lock, re.MULTILINE | re.DOTALL)
    assert match, "requirements/run.txt does not pin llama-cpp-python"
    return match[0]


def _compile(root: Path, folder: Path, requirement: str) -> None:
    requirements = folder / "requirements.txt"
    requirements.write_text(requirement)
    include = root / "scripts" / "engine.cmake"
    environment = os.environ | {
        "CMAKE_ARGS": f"-DCMAKE_PROJECT_llama_cpp_INCLUDE={include} {OPTIONS}",
        "SKBUILD_WHEEL_EXCLUDE": UNUSED,
        "CCACHE_NOHASHDIR": "1",
        "CCACHE_BASEDIR": str(folder),
        "TMPDIR": str(folder),
    }
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--verbose")
    how = ("--no-deps", "--no-build-isolation", "--no-cache-dir", "--require-hashes")
    with (folder / "build.log").open("wb") as log:
        subprocess.run(
            (*pip, *how, "-r", str(requirements), "-w", str(folder / "unrepaired")),
            check=True, env=environment, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip


def _repair(wheel: Path, folder: Path) -> None:
    repaired = folder / "repaired"
    command = (sys.executable, "-m", "auditwheel", "repair", "--plat", "auto")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        (*command, "--wheel-dir", str(repaired), str(wheel)),
        check=True, env=os.environ | {"PATH": path}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    result = next(repaired.glob("*.whl"))
    with zipfile.ZipFile(result) as source:
        files = {
            info.filename: source.read(info) for info in source.infolist() if not info.is_dir()
        }
    write_zip(folder / result.name, files)
    shutil.rmtree(repaired)
    shutil.rmtree(wheel.parent)
