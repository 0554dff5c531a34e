"""The archive for installing without a network: all wheels, their hashes, and a script."""

import shutil
from pathlib import Path

from release import checksums, wheelhouse
from release.names import PYTHON_VERSIONS
from release.reproducible import write_tar_gz


def make_tree(root: Path, folder: Path, house: Path) -> Path:
    """Make the folder that is in the archive and, in part, in the Debian package."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(house, folder / "wheels")
    (folder / "requirements.txt").write_text(wheelhouse.requirements(root, house))
    (folder / "python-versions").write_text(" ".join(PYTHON_VERSIONS) + "\n")
    (folder / "glibc").write_text(wheelhouse.glibc(house) + "\n")
    for path in (
        root / "release" / "make-environment",
        root / "release" / "debian" / "paddock.env",
        root / "deploy" / "paddock.service",
        root / "LICENSE",
    ):
        shutil.copy(path, folder)
    checksums.write(folder)
    return folder


def pack(tree: Path, target: Path) -> None:
    """Write the archive."""
    write_tar_gz(target, tree)
