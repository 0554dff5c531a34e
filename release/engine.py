"""Build the wheel of the engine: llama-cpp-python with llama.cpp for every x86-64 processor."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from release.reproducible import write_zip

OPTIONS = "-DGGML_NATIVE=OFF -DGGML_BACKEND_DL=ON -DGGML_CPU_ALL_VARIANTS=ON"
UNUSED = "llama_cpp/include/**;llama_cpp/lib/cmake/**;llama_cpp/lib/pkgconfig/**"


def build(root: Path, cache: Path) -> Path:
    """Return the wheel, built anew unless the cache has one for the same source and options.

    `auditwheel` checks which glibc it needs, names it in the file's name, and adds libgomp.
    """
    recipe = _requirement(root) + OPTIONS + UNUSED + (root / "scripts/engine.cmake").read_text()
    folder, recorded = cache / "engine", cache / "engine" / "recipe"
    if recorded.exists() and recorded.read_text() == recipe:
        return next(folder.glob("*.whl"))
    shutil.rmtree(folder, ignore_errors=True)
    repair(compile_wheel(root, folder, folder / "unrepaired"), folder)
    recorded.write_text(recipe)
    return next(folder.glob("*.whl"))


def _requirement(root: Path) -> str:
    lock = (root / "requirements" / "run.txt").read_text()
    match = re.search(r"^llama-cpp-python==.*?(?=^    # )", lock, re.MULTILINE | re.DOTALL)
    assert match, "requirements/run.txt does not pin llama-cpp-python"
    return match[0]


def compile_wheel(root: Path, folder: Path, output: Path, options: str = "") -> Path:
    """Return the wheel as it is compiled, in `output`; `options` are added to CMake's.

    `folder` is for what is temporary, and for the log.
    """
    output.mkdir(parents=True, exist_ok=True)
    requirements = folder / "requirements.txt"
    requirements.write_text(_requirement(root))
    include = root / "scripts" / "engine.cmake"
    environment = os.environ | {
        "CMAKE_ARGS": f"-DCMAKE_PROJECT_llama_cpp_INCLUDE={include} {OPTIONS} {options}",
        "SKBUILD_WHEEL_EXCLUDE": UNUSED,
        "CCACHE_NOHASHDIR": "1",
        "CCACHE_BASEDIR": str(folder),
        "TMPDIR": str(folder),
    }
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--verbose")
    how = ("--no-deps", "--no-build-isolation", "--no-cache-dir", "--require-hashes")
    with (folder / "build.log").open("wb") as log:
        subprocess.run(
            (*pip, *how, "-r", str(requirements), "-w", str(output)),
            check=True, env=environment, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    return next(output.glob("*.whl"))


def repair(wheel: Path, folder: Path) -> Path:
    """Move a wheel to `folder` as one that brings libgomp, and return it.

    `auditwheel` names the glibc that it needs.
    """
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
    return folder / result.name


def main() -> None:
    """Compile the wheel of an image into a folder; CMAKE_ARGS of the environment are added."""
    root, output = Path(__file__).parents[1], Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        try:
            compile_wheel(root, Path(folder), output, os.environ.get("CMAKE_ARGS", ""))
        except subprocess.CalledProcessError:
            log = (Path(folder) / "build.log").read_text(errors="replace")
            sys.exit(f"{log[-8000:]}\nThe engine could not be compiled.")


if __name__ == "__main__":
    main()
