"""With wheels at hand nothing is compiled, and wheels that were changed are not installed."""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from release import checksums
from release.names import VERSION

ROOT = Path(__file__).parents[2]
RECORDER = '#!/bin/sh\necho "$*" >>calls\n'
"""In the place of Python: notes the arguments, for pip."""


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
    environment = {"PATH": os.environ["PATH"], "CXX": "no-such-compiler"} | variables
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
    others, engine = calls(clone)
    assert f"--no-index --only-binary :all: --find-links {wheels}/wheels" in others
    assert "--require-hashes -r .venv/without-engine.txt" in others
    assert "llama-cpp-python==" in engine
    lock = (clone / ".venv" / "without-engine.txt").read_text()
    assert "\nfastapi==" in lock
    assert "llama-cpp-python==" not in lock


def test_a_releases_archive_beside_the_clone_is_used(clone: Path, tmp_path: Path) -> None:
    make_wheels(tmp_path / "tree")
    with tarfile.open(tmp_path / f"paddock-{VERSION}-linux-x86_64.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "tree", f"paddock-{VERSION}-linux-x86_64")

    answer = install(clone)

    assert answer.returncode == 0, answer.stderr
    assert len(calls(clone)) == 2
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
