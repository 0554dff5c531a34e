"""The Debian package: the tree of the archive in /usr/lib/paddock, a service, a user, settings."""

import gzip
import os
import shutil
import subprocess
from pathlib import Path

from release import wheelhouse
from release.names import VERSION
from release.reproducible import source_date

SCRIPTS = ("postinst", "prerm", "postrm")


def build(root: Path, tree: Path, output: Path) -> Path:
    """Build the package with dpkg-deb, which takes times from SOURCE_DATE_EPOCH.

    It is not compressed, because wheels are.
    """
    stage = tree.with_name("debian")
    shutil.rmtree(stage, ignore_errors=True)
    shutil.copytree(tree, stage / "usr/lib/paddock")
    for name in ("paddock.env", "paddock.service", "LICENSE"):
        (stage / "usr/lib/paddock" / name).unlink()
    _strip_checksums(stage / "usr/lib/paddock" / "SHA256SUMS")
    _copy(root / "deploy/paddock.service", stage / "usr/lib/systemd/system/paddock.service")
    _copy(root / "release/debian/paddock.env", stage / "etc/paddock/paddock.env")
    _copy(root / "LICENSE", stage / "usr/share/doc/paddock-server/copyright")
    changelog = gzip.compress((root / "CHANGELOG.md").read_bytes(), 9, mtime=source_date())
    (stage / "usr/share/doc/paddock-server/changelog.gz").write_bytes(changelog)
    (stage / "usr/bin").mkdir()
    (stage / "usr/bin/paddock").symlink_to("../lib/paddock/environment/bin/paddock")
    _write_control(root, stage, wheelhouse.glibc(tree / "wheels"))
    target = output / f"paddock-server_{VERSION}_amd64.deb"
    command = ("dpkg-deb", "--root-owner-group", "-Znone", "--build", str(stage), str(target))
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return target


def _strip_checksums(sums: Path) -> None:
    """Leave out the files that the package has elsewhere."""
    lines = sums.read_text().splitlines(keepends=True)
    sums.write_text("".join(line for line in lines if (sums.parent / line.split()[1]).exists()))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
    target.chmod(0o644)


def _write_control(root: Path, stage: Path, glibc: str) -> None:
    files = root / "release" / "debian"
    control = stage / "DEBIAN"
    control.mkdir()
    size = sum(path.stat().st_size for path in stage.rglob("*") if path.is_file()) // 1024
    text = (files / "control").read_text()
    for name, value in {"@VERSION@": VERSION, "@SIZE@": str(size), "@GLIBC@": glibc}.items():
        text = text.replace(name, value)
    (control / "control").write_text(text)
    for name in ("conffiles", "triggers"):
        _copy(files / name, control / name)
    for name in SCRIPTS:
        shutil.copy(files / name, control / name)
        (control / name).chmod(0o755)
    for folder, _, _ in os.walk(stage):
        Path(folder).chmod(0o755)
