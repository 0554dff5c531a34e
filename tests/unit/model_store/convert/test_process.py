"""The process that converts: told what to do, watched, and ended with whoever wanted it."""

import json
import os
import signal
import struct
import subprocess
from pathlib import Path

import psutil
import pytest

from model_store.convert.process import COMMAND, Job, Progress, convert
from model_store.errors import ConversionDied, CreateError, NoSpace
from model_store.gguf import read_header
from tests.support import hf_folders
from tests.support.converting import conversions, converted, parameters_of
from tests.support.hf_folders import written


def job(directory: Path) -> Job:
    return Job(written(directory / "files", hf_folders.llama()), directory / "made.gguf")


def endless_job(directory: Path) -> Job:
    """A conversion that waits for a file which nobody writes, so that it runs until it is ended."""
    files = written(directory / "files", hf_folders.llama())
    os.mkfifo(directory / "config.json")
    return Job({**files, "config.json": directory / "config.json"}, directory / "made.gguf")


def test_model_is_written_and_its_parameters_told(tmp_path: Path) -> None:
    made = job(tmp_path)

    assert parameters_of(made) == {}
    assert read_header(made.target).architecture == "llama"


def test_model_in_several_files_is_one(tmp_path: Path) -> None:
    files = hf_folders.llama()
    tensors = list(hf_folders.decoder_tensors(1).items())
    size = len(read_header(converted(tmp_path / "whole", files)).tensors)
    n_vocab = hf_folders.size_of(hf_folders.tokenizers.pieces())
    tensors = list(hf_folders.decoder_tensors(n_vocab).items())
    del files["model.safetensors"]
    for number, part in enumerate((tensors[:7], tensors[7:]), 1):
        name = f"model-{number:05}-of-00002.safetensors"
        files[name] = hf_folders.safetensors(dict(part))

    assert len(read_header(converted(tmp_path / "split", files)).tensors) == size


def test_refusal_of_the_process_is_an_error_here(tmp_path: Path) -> None:
    with pytest.raises(CreateError, match=r"no config\.json"):
        converted(tmp_path, {"model.safetensors": hf_folders.safetensors({})})


def test_conversion_that_is_given_up_leaves_no_process(tmp_path: Path) -> None:
    work = convert(endless_job(tmp_path), {})
    assert next(work) == Progress()
    (child,) = conversions()

    work.close()

    assert not psutil.pid_exists(child.pid)


def test_death_of_the_process_is_told(tmp_path: Path) -> None:
    work = convert(endless_job(tmp_path), {})
    next(work)
    (child,) = conversions()
    os.kill(child.pid, signal.SIGKILL)

    with pytest.raises(ConversionDied):
        list(work)


def test_process_whose_server_is_gone_ends(tmp_path: Path) -> None:
    """Its input closes, whatever the server died of; a pipe that nobody writes to holds it up."""
    os.mkfifo(tmp_path / "config.json")
    files = {"config.json": str(tmp_path / "config.json")}
    wanted = {"files": files, "target": str(tmp_path / "made.gguf"), "base": None}

    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        output, _ = process.communicate(json.dumps(wanted).encode() + b"\n")

    assert (process.returncode, output) == (1, b"")


def test_model_that_the_disk_has_no_room_for_is_not_begun(tmp_path: Path) -> None:
    """The file is nearly all hole, so it takes no room itself."""
    wanted = job(tmp_path)
    weights = wanted.files["model.safetensors"]
    data = weights.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    last = max(header.values(), key=lambda entry: entry["data_offsets"][1])
    start = last["data_offsets"][0]
    last["shape"], last["data_offsets"] = [2**36, 32], [start, start + 2**43]
    text = json.dumps(header).encode()
    weights.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
    os.truncate(weights, 8 + len(text) + start + 2**43)

    with pytest.raises(NoSpace, match=r"8796\.\d GB are needed and [\d.]+ GB are free"):
        parameters_of(wanted)

    assert not wanted.target.exists()
