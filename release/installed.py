"""Make the wheel of the engine again from an environment in which it is installed."""

import base64
import hashlib
from importlib.metadata import PathDistribution
from pathlib import Path

from release.reproducible import write_zip

_OF_PIP = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json")
"""What pip adds to the files of a wheel, or changes."""


def wheel_of(environment: Path, folder: Path) -> Path:
    """Write the wheel of a virtual environment's engine to a new file in `folder`.

    So what `make install` has compiled can be in a release that is only for testing.
    """
    [metadata] = environment.glob("lib/python3*/site-packages/llama_cpp_python-*.dist-info")
    [tag] = [
        line.removeprefix("Tag: ")
        for line in (metadata / "WHEEL").read_text().splitlines()
        if line.startswith("Tag: ")
    ]
    files = {
        str(path): Path(str(path.locate())).read_bytes()
        for path in PathDistribution(metadata).files or ()
        if "__pycache__" not in path.parts and path.name not in _OF_PIP
    }
    record = f"{metadata.name}/RECORD"
    lines = [f"{name},{_digest(data)},{len(data)}\n" for name, data in files.items()]
    files[record] = "".join([*lines, f"{record},,\n"]).encode()
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{metadata.stem}-{tag}.whl"
    write_zip(wheel, files)
    return wheel


def _digest(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
    return f"sha256={digest}"
