"""Build the wheel and the source distribution of the project itself."""

import subprocess
import sys
from pathlib import Path


def commit_time(root: Path) -> str:
    """Return the time of the commit in seconds: the time of all files in a release."""
    command = ("git", "-C", str(root), "log", "-1", "--format=%ct")
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def build(root: Path, output: Path) -> None:
    """Build both; hatchling gives all files the time SOURCE_DATE_EPOCH."""
    command = (sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-t", "wheel")
    subprocess.run((*command, "-d", str(output)), check=True, cwd=root, stdout=subprocess.DEVNULL)
    (output / ".gitignore").unlink(missing_ok=True)
