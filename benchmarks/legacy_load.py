"""Time and peak memory to load a model file in the layout of Ollama's former engine.

A file of random weights is loaded by a process of its own, as llama.cpp reads it, and through the
C stream that translates its header while it is read. `mapped` is how llama.cpp loads its own files
by default; it reads the weights later, when they are first used.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType
from gguf.quants import quantize

from benchmarks import models
from benchmarks.measure import Case, Target, arguments, interleaved, report, run

LLAMA_CPP, LEGACY = "olmo2", "olmo3"
"""Architectures whose files differ in the header alone."""
READ, MAPPED = 0, 1
N_EMBD, N_FF, N_VOCAB = 2048, 8192, 512
N_ROWS = 4 * N_EMBD + 3 * N_FF
"""Rows of `N_EMBD` elements in a layer."""
LAYER_MB = N_ROWS * N_EMBD * 34 / 32 / 1e6
MAX_RATIO, MAX_MB = 1.3, 64


class Load(msgspec.Struct):
    """Seconds that a load took, and the memory in bytes that it added at its peak."""

    seconds: float
    n_bytes: int


async def benchmark(options: argparse.Namespace) -> None:
    """Load both files in turn."""
    peaks: dict[str, int] = {}

    def case(name: str, path: Path, mode: int) -> Case:
        async def load() -> float:
            measured = await _load(path, mode)
            peaks[name] = max(peaks.get(name, 0), measured.n_bytes)
            return measured.seconds

        return load

    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as directory:
        folder = Path(directory)
        n_layers = max(round(options.megabytes / LAYER_MB), 1)
        plain, legacy = (_write(folder, name, n_layers) for name in (LLAMA_CPP, LEGACY))
        size = plain.stat().st_size
        cases = {
            "read": case("read", plain, READ),
            "legacy": case("legacy", legacy, READ),
            "mapped": case("mapped", plain, MAPPED),
        }
        medians = await interleaved(options.rounds, cases)
        report(
            f"seconds to load {size / 1e6:.0f} MB",
            medians,
            base="read",
            targets={"legacy": Target(most=MAX_RATIO)},
        )
        print("\nMB at the peak of a load, beyond the size of the file")
        for name in ("read", "legacy"):
            print(f"  {name:6}  {(peaks[name] - size) / 1e6:8.1f}   (target: at most {MAX_MB})")
        print(f"\nother files than the two: {_others(folder, plain, legacy)}")


def _others(folder: Path, *known: Path) -> str:
    return ", ".join(path.name for path in folder.iterdir() if path not in known) or "none"


def _write(folder: Path, architecture: str, n_layers: int) -> Path:
    """Write a model whose layers have the same random weights, in Q8_0."""
    path, kind = folder / f"{architecture}.gguf", GGMLQuantizationType.Q8_0
    writer = GGUFWriter(None, architecture)
    writer.add_context_length(4096)
    writer.add_embedding_length(N_EMBD)
    writer.add_block_count(n_layers)
    writer.add_feed_forward_length(N_FF)
    writer.add_head_count(16)
    writer.add_head_count_kv(16)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(500_000.0)
    writer.add_file_type(LlamaFileType.MOSTLY_Q8_0)
    models.add_sentencepiece(writer, N_VOCAB)
    square, wide, narrow = (
        quantize(np.random.default_rng(0).standard_normal(shape, dtype=np.float32), kind)
        for shape in ((N_EMBD, N_EMBD), (N_FF, N_EMBD), (N_EMBD, N_FF))
    )
    ones = np.ones(N_EMBD, np.float32)
    writer.add_tensor("token_embd.weight", square[:N_VOCAB], raw_dtype=kind)
    writer.add_tensor("output.weight", square[:N_VOCAB], raw_dtype=kind)
    writer.add_tensor("output_norm.weight", ones)
    for layer in range(n_layers):
        for name in ("attn_q_norm", "attn_k_norm", "post_attention_norm", "post_ffw_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", ones)
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", square, raw_dtype=kind)
        for name, matrix in (("ffn_gate", wide), ("ffn_up", wide), ("ffn_down", narrow)):
            writer.add_tensor(f"blk.{layer}.{name}.weight", matrix, raw_dtype=kind)
    writer.write_header_to_file(path)
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


async def _load(path: Path, mode: int) -> Load:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.legacy_load", "--child", str(path), str(mode),
        stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    output, _ = await process.communicate()
    return msgspec.json.decode(output, type=Load)


def _child(path: Path, mode: int) -> Load:
    """Load the file in this process, as a runner does."""
    from runners.engine.native.llama import lib  # noqa: PLC0415 - only the child needs these
    from runners.engine.native.model_file import load_model_file  # noqa: PLC0415
    from runners.protocol.load_spec import LoadSpec  # noqa: PLC0415
    from server.inference.model_files import model_files  # noqa: PLC0415

    view = model_files(path).view
    spec = LoadSpec(weights=str(path), view=view, n_ctx=64, n_cells=64, n_seq=1, n_batch=64)
    params = lib.llama_model_default_params()
    params.load_mode, params.n_gpu_layers = mode, 0
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    before, started = _memory("VmRSS"), time.perf_counter()
    if not load_model_file(spec, params):
        raise SystemExit(f"{path.name} cannot be loaded")
    return Load(time.perf_counter() - started, _memory("VmHWM") - before)


def _memory(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(msgspec.json.encode(_child(Path(sys.argv[2]), int(sys.argv[3]))).decode())
    else:
        parser = arguments(__doc__, rounds=5)
        parser.add_argument("--megabytes", type=int, default=2000, help="size; %(default)s")
        run(benchmark, parser)
