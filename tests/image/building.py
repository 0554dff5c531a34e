"""Build the image without a container registry: its base is made of Debian's packages."""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.image.commands import Storage, isolation, podman, run

ROOT = Path(__file__).parents[2]
IMAGE = "localhost/paddock"
_SUITE = "trixie"
_BASE = "docker.io/library/debian:trixie-slim"
_PROGRAMS = ("mmdebstrap", "buildah", "podman", "crun", "unshare")
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*")
"""What the base of the name leaves out as well."""
_BUILD_SECONDS = 1500.0
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def build() -> Storage:
    """Build the image; layers that did not change are kept in build/image.

    Skips the test where that is not allowed or Debian's packages cannot be had.
    """
    if os.geteuid() != 0:
        pytest.skip("building the image needs root")
    if missing := [name for name in _PROGRAMS if shutil.which(name) is None]:
        pytest.skip(f"building the image needs {', '.join(missing)}")
    folder = ROOT / "build" / "image"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        run(["true"], seconds=60)
    except AssertionError as e:
        pytest.skip(f"mount namespaces cannot be made here: {e}")
    storage = Storage(folder, _storage_driver(folder))
    _import_base(storage)
    try:
        podman(storage, "run", "--rm", *isolation(), _BASE, "true")
    except AssertionError as e:
        pytest.skip(f"containers cannot be run here: {e}")
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    wheels = _wheels(folder)
    run(
        [
            "buildah", *storage.options(), "build", "--isolation=chroot", "--format=docker",
            "--layers", "--pull=never", f"--build-context=wheels={wheels}",
            f"--volume={_pip_configuration(folder)}:/etc/xdg/pip:ro", "--build-arg=BACKEND=cpu",
            f"--platform=linux/{machine}", f"--tag={IMAGE}", str(ROOT),
        ],
        seconds=_BUILD_SECONDS,
    )  # fmt: skip
    return storage


def _storage_driver(folder: Path) -> str:
    """Return the driver that copies nothing, where the file system lets it; else the other."""
    try:
        podman(Storage(folder, "overlay"), "info")
    except AssertionError:
        return "vfs"
    return "overlay"


def _import_base(storage: Storage) -> None:
    archive = storage.folder / f"{_SUITE}.tar"
    if not archive.exists():
        new = archive.with_name("new.tar")
        try:
            run(
                [
                    "mmdebstrap", "--quiet", "--mode=root", "--variant=minbase",
                    *(f"--dpkgopt=path-exclude={path}" for path in _LEFT_OUT),
                    "--dpkgopt=path-include=/usr/share/doc/*/copyright", _SUITE, str(new),
                ],
                seconds=600,
            )  # fmt: skip
        except AssertionError as e:
            pytest.skip(f"Debian's packages cannot be had here: {e}")
        new.rename(archive)
    if "Id" not in podman(storage, "image", "inspect", _BASE, check=False):
        podman(storage, "import", "--quiet", str(archive), _BASE, seconds=300)


def _wheels(folder: Path) -> Path:
    """Return the folder with the engine's wheel; an empty one where it has to be compiled."""
    if (wheel := engine_wheel()) is not None:
        return wheel.parent
    empty = folder / "no-wheels"
    empty.mkdir(exist_ok=True)
    return empty


def engine_wheel() -> Path | None:
    """Return the wheel of the engine that the image gets instead of compiling one."""
    folders = (Path(os.environ.get("PADDOCK_WHEELS") or "dist"), ROOT / "dist")
    for folder in folders:
        for wheels in (folder / "wheels", folder):
            for wheel in sorted(wheels.glob("llama_cpp_python-*.whl")):
                return wheel.resolve()
    return None


def _pip_configuration(folder: Path) -> Path:
    """Return a folder with pip's configuration of this machine, which the image does not get."""
    target = folder / "pip"
    target.mkdir(exist_ok=True)
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    found = dict(re.findall(r"^(?::env:|global)\.([\w-]+)='(.*)'$", listing, re.MULTILINE))
    names = ("index-url", "extra-index-url", "trusted-host", "timeout", "proxy")
    lines = [f"{name} = {found[name]}" for name in names if name in found]
    certificates = Path(found.get("cert", _CERTIFICATES))
    if certificates.is_file():
        shutil.copy(certificates, target / "certificates.pem")
        lines.append("cert = /etc/xdg/pip/certificates.pem")
    (target / "pip.conf").write_text("\n".join(["[global]", *lines, ""]))
    return target
