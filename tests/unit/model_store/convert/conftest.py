"""Conversions in the test's own process: what a test of a mistake needs, and fast."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model_store.convert.folder import Folder
from model_store.convert.model import convert_model
from model_store.convert.report import Report
from model_store.gguf import GGUFHeader, read_header
from tests.support.hf_folders import Files, written

Convert = Callable[[Files], tuple[GGUFHeader, dict[str, Any]]]


@pytest.fixture
def notes() -> list[str]:
    """What the conversions of a test told people."""
    return []


@pytest.fixture
def convert(tmp_path: Path, notes: list[str]) -> Convert:
    """Convert a folder; return the header of the result, arrays read, and the parameters."""

    def run(files: Files) -> tuple[GGUFHeader, dict[str, Any]]:
        target = tmp_path / "converted.gguf"
        folder = Folder(written(tmp_path / "files", files))
        parameters = convert_model(folder, target, Report(lambda _done, _total: None, notes.append))
        return read_header(target, with_arrays=True), parameters

    return run
