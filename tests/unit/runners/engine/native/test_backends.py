"""The best CPU variant for the processor is loaded, or a requested one, and GPUs before it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from runners.engine.native.backends import cpu_variants, load_backends

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="makes libraries with cc")


class Function:
    """`ggml_backend_load`, which records the names of what it loads."""

    def __init__(self, result: int = 1) -> None:
        self.loads: list[str] = []
        self._result = result

    def __call__(self, path: bytes) -> int:
        self.loads.append(Path(path.decode()).name)
        return self._result


class Library:
    """libllama without anything but the function."""

    def __init__(self, result: int = 1) -> None:
        self.ggml_backend_load = Function(result)


def add_variant(folder: Path, name: str, score: int) -> None:
    source = f"int ggml_backend_score(void) {{ return {score}; }}"
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", f"libggml-cpu-{name}.so"]
    subprocess.run(command, input=source.encode(), check=True, cwd=folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An engine for all processors, with a GPU, on a processor that lacks AVX-512."""
    folder = tmp_path_factory.mktemp("engine")
    add_variant(folder, "sse42", 5)
    add_variant(folder, "haswell", 63)
    add_variant(folder, "icelake", 0)
    for name in ("base", "vulkan", "cuda"):
        (folder / f"libggml-{name}.so").touch()
    (folder / "libggml-cpu-damaged.so").touch()
    return folder


def test_variants_are_ordered_by_what_they_say_of_this_processor(folder: Path) -> None:
    variants = cpu_variants(folder)

    assert [(each.name, each.score) for each in variants] == [
        ("haswell", 63), ("sse42", 5), ("damaged", 0), ("icelake", 0),
    ]  # fmt: skip


def test_gpus_are_loaded_and_then_the_best_variant(folder: Path) -> None:
    library = Library()

    assert load_backends(library, folder) == "haswell"
    assert library.ggml_backend_load.loads == [
        "libggml-cuda.so", "libggml-vulkan.so", "libggml-cpu-haswell.so",
    ]  # fmt: skip


def test_a_variant_that_is_requested_is_loaded(folder: Path) -> None:
    library = Library()

    assert load_backends(library, folder, "sse42") == "sse42"
    assert library.ggml_backend_load.loads[-1] == "libggml-cpu-sse42.so"


@pytest.mark.parametrize("name", ["icelake", "no-such-processor", "../x"])
def test_a_request_that_cannot_be_followed_is_a_warning_and_the_best_is_used(
    name: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert load_backends(Library(), folder, name) == "haswell"
    assert capfd.readouterr().err == (
        f"PADDOCK_CPU_VARIANT is {name}, but this processor and engine have haswell, sse42; "
        "haswell is used\n"
    )


def test_an_engine_for_one_processor_loads_nothing(tmp_path: Path) -> None:
    """Its CPU backend is linked in; a second one would be a second device."""
    for name in ("base", "cpu"):
        (tmp_path / f"libggml-{name}.so").touch()
    library = Library()

    assert load_backends(library, tmp_path, "haswell") == ""
    assert library.ggml_backend_load.loads == []


def test_a_variant_that_cannot_be_loaded_is_an_error(folder: Path) -> None:
    with pytest.raises(ImportError, match=r"libggml-cpu-haswell\.so cannot be loaded"):
        load_backends(Library(result=0), folder)
