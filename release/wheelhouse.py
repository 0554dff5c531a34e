"""Collect the wheels of all requirements, for each supported Python, with their hashes."""

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from packaging.markers import Marker

from release.names import PYTHON_VERSIONS

ENGINE = "llama-cpp-python"  # a source distribution in the lock file
_COMPILER = ("cmake", "ninja", "scikit-build-core")
"""The requirements of a build that only compiling needs."""
PIN = re.compile(r"^([\w.-]+)==([^\s;\\]+)( ; [^\\\n]*?)? *\\?$", re.MULTILINE)
"""Name, version and marker of each requirement in a lock file."""
OLDEST, NEWEST = 5, 36
"""glibc 2.5 to 2.36, that of Debian 12: wheels for a newer one would not run there."""


def collect(root: Path, cache: Path, built: Sequence[Path]) -> Path:
    """Return a folder with the wheels that were `built`, pip, and everything they need.

    With them a clone can be installed without a network too: what installs its code is there.
    """
    house = cache / "wheels"
    shutil.rmtree(house, ignore_errors=True)
    house.mkdir()
    locked = cache / "locked.txt"
    lock = (root / "requirements" / "run.txt").read_text()
    lock = lock.replace(_pin(ENGINE, lock), "")
    for version in PYTHON_VERSIONS:
        locked.write_text(locked_for(lock, version))
        _download(locked, version, house)
    build = (root / "requirements" / "build.txt").read_text()
    for name in _COMPILER:
        build = build.replace(_pin(name, build), "")
    locked.write_text(build)
    _download(locked, PYTHON_VERSIONS[0], house)
    locked.write_text(_pin("pip", (root / "requirements" / "release.txt").read_text()))
    _download(locked, PYTHON_VERSIONS[0], house)
    for wheel in built:
        shutil.copy(wheel, house)
    return house


def locked_for(lock: str, version: str) -> str:
    """Return the requirements that apply to a version of Python on Linux, without their markers.

    pip evaluates markers for the Python that runs it, also when it downloads for another.
    """
    system = {
        "python_version": version,
        "python_full_version": f"{version}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "os_name": "posix",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
    }
    blocks = re.split(r"^(?=[\w.-]+==)", lock, flags=re.MULTILINE)
    applying = []
    for block in blocks:
        pin = PIN.match(block)
        if pin is None:
            continue
        marker = pin[3].strip().removeprefix(";") if pin[3] else ""
        if not marker or Marker(marker).evaluate(system):
            applying.append(block.replace(pin[3] or "", "", 1) if marker else block)
    return "".join(applying)


def _pin(name: str, lock: str) -> str:
    """Return the requirement of a lock file, with its hashes."""
    match = re.search(rf"^{name}==.*?(?=^    # )", lock, re.MULTILINE | re.DOTALL)
    assert match, f"{name} is not pinned"
    return match[0]


def _download(requirements: Path, version: str, house: Path) -> None:
    tag = f"cp{version.replace('.', '')}"
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in range(NEWEST, OLDEST - 1, -1)]
    platforms += [f"manylinux{name}_x86_64" for name in ("2014", "2010", "1")]
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet")
    how = ("--no-deps", "--require-hashes", "--only-binary", ":all:", "--python-version", version)
    abis = (f"--abi={abi}" for abi in (tag, "abi3", "none"))
    where = (f"--platform={name}" for name in platforms)
    subprocess.run(
        (
            *pip,
            *how,
            "--implementation=cp",
            *abis,
            *where,
            "-r",
            str(requirements),
            "-d",
            str(house),
        ),
        check=True,
    )


def requirements(root: Path, house: Path) -> str:
    """Return the requirements of an installation from the folder, each with its wheels' hashes."""
    lock = (root / "requirements" / "run.txt").read_text()
    pinned = [(name, version, marker.strip()) for name, version, marker in PIN.findall(lock)]
    project = next(house.glob("paddock_server-*.whl")).name.split("-")[1]
    pinned.append(("paddock-server", project, ""))
    return "".join(_requirement(house, *each) for each in sorted(pinned))


def _requirement(house: Path, name: str, version: str, marker: str) -> str:
    distribution = re.sub(r"[-_.]+", "_", name).lower()
    wheels = [
        path for path in house.glob("*.whl")
        if re.sub(r"[-_.]+", "_", path.name.split("-")[0]).lower() == distribution
        and path.name.split("-")[1] == version
    ]  # fmt: skip
    digests = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in wheels)
    if not digests:
        return ""  # for another system
    options = "".join(f" \\\n    --hash=sha256:{digest}" for digest in digests)
    return f"{name}=={version}{f' {marker}' if marker else ''}{options}\n"


def glibc(house: Path) -> str:
    """Return the oldest glibc that runs all wheels."""
    needs = []
    for path in house.glob("*.whl"):
        legacy = {"manylinux1": 5, "manylinux2010": 12, "manylinux2014": 17}
        tags = path.stem.rpartition("-")[2].split(".")
        minors = [int(match[1]) for tag in tags if (match := re.match(r"manylinux_2_(\d+)_", tag))]
        minors += [minor for tag in tags if (minor := legacy.get(tag.partition("_")[0]))]
        needs.append(min(minors, default=0))
    return f"2.{max(needs)}"
