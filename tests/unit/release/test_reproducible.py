"""What a release contains depends on the commit alone, and every wheel is pinned by its hash."""

import hashlib
import json
import os
import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from release import checksums, debian, wheelhouse
from release.archive import make_tree
from release.bill_of_materials import bill_of_materials
from release.installed import wheel_of
from release.licences import licences
from release.metadata import read_wheel
from release.reproducible import write_tar_gz, write_zip

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def source_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


def add_wheel(house: Path, name: str, version: str = "1.0", tag: str = "py3-none-any") -> Path:
    house.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\nLicense-Expression: MIT\n"
    target = house / f"{name}-{version}-{tag}.whl"
    write_zip(target, {f"{info}/METADATA": metadata.encode(), f"{info}/licenses/LICENSE": b"Do."})
    return target


def lock(root: Path, text: str) -> None:
    (root / "requirements").mkdir()
    (root / "requirements" / "run.txt").write_text(text)


@pytest.fixture
def house(tmp_path: Path) -> Path:
    folder = tmp_path / "house"
    add_wheel(folder, "paddock_server", "0.1.0")
    add_wheel(folder, "llama_cpp_python", tag="py3-none-manylinux_2_35_x86_64")
    add_wheel(folder, "a_b", tag="cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64")
    add_wheel(folder, "a_b", tag="cp312-cp312-manylinux_2_28_x86_64")
    return folder


def test_an_archive_of_the_same_files_has_the_same_bytes(tmp_path: Path) -> None:
    def archive(where: str, time: int, umask: int) -> bytes:
        os.umask(umask)
        folder = tmp_path / where / "paddock"
        (folder / "b").mkdir(parents=True)
        (folder / "b" / "text").write_text("text")
        (folder / "program").write_text("#!/bin/sh\n")
        (folder / "program").chmod(0o700 if umask else 0o755)
        os.utime(folder / "program", (time, time))
        write_tar_gz(tmp_path / f"{where}.tar.gz", folder)
        return (tmp_path / f"{where}.tar.gz").read_bytes()

    before = os.umask(0o022)
    try:
        assert archive("one", 5, 0o077) == archive("two", 6, 0)
    finally:
        os.umask(before)
    with tarfile.open(tmp_path / "two.tar.gz") as tar:
        modes = {info.name: (info.mode, info.uid, info.mtime) for info in tar}
    assert modes["paddock/program"] == (0o755, 0, 1700000000)
    assert modes["paddock/b/text"] == (0o644, 0, 1700000000)


def test_requirements_have_the_hashes_of_the_wheels_at_hand(house: Path, tmp_path: Path) -> None:
    """A wheel for another system has none, and the engine's is that of the wheel that was built."""
    lock(tmp_path, (
        "a-b==1.0 ; sys_platform != 'win32' \\\n    --hash=sha256:00\n    # via x\n"
        "colorama==1.0 ; sys_platform == 'win32' \\\n    --hash=sha256:00\n"
        "llama-cpp-python==1.0 \\\n    --hash=sha256:00\n"
    ))  # fmt: skip

    text = wheelhouse.requirements(tmp_path, house)

    wheels = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in house.glob("*.whl")}
    assert re.findall(r"^\S+==\S+", text, re.MULTILINE) == [
        "a-b==1.0", "llama-cpp-python==1.0", "paddock-server==0.1.0",
    ]  # fmt: skip
    assert set(re.findall(r"sha256:(\w+)", text)) == set(wheels.values())
    assert "a-b==1.0 ; sys_platform != 'win32' \\\n" in text


def test_the_lock_files_of_the_project_are_read_in_full() -> None:
    text = (ROOT / "requirements" / "run.txt").read_text()
    pins = re.findall(r"^[\w.-]+==", text, re.MULTILINE)

    assert len(wheelhouse.PIN.findall(text)) == len(pins)


def test_each_version_of_python_gets_the_versions_that_are_pinned_for_it() -> None:
    lock = (
        "numpy==1.0 ; python_full_version < '3.12' \\\n    --hash=sha256:00\n    # via x\n"
        "numpy==2.0 ; python_full_version >= '3.12' \\\n    --hash=sha256:11\n"
        "colorama==1.0 ; sys_platform == 'win32' \\\n    --hash=sha256:22\n"
        "x==1.0 \\\n    --hash=sha256:33\n"
    )

    assert wheelhouse.locked_for(lock, "3.11") == (
        "numpy==1.0 \\\n    --hash=sha256:00\n    # via x\nx==1.0 \\\n    --hash=sha256:33\n"
    )
    assert wheelhouse.locked_for(lock, "3.13") == (
        "numpy==2.0 \\\n    --hash=sha256:11\nx==1.0 \\\n    --hash=sha256:33\n"
    )


def test_the_glibc_is_the_oldest_that_runs_every_wheel(house: Path) -> None:
    assert wheelhouse.glibc(house) == "2.35"


def test_a_changed_file_stops_an_installation_before_any_of_it_runs(
    house: Path, tmp_path: Path
) -> None:
    lock(tmp_path, "a-b==1.0 \\\n    --hash=sha256:00\n")
    for name in ("release", "deploy", "LICENSE"):
        (tmp_path / name).symlink_to(ROOT / name)
    tree = make_tree(tmp_path, tmp_path / "tree", house)
    next(tree.glob("wheels/a_b-*")).write_bytes(b"PK")

    answer = subprocess.run(
        [tree / "make-environment", tmp_path / "environment"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert answer.returncode == 1
    assert "is damaged or was changed: nothing was installed" in answer.stderr
    assert not list(tmp_path.glob("environment*"))


def test_the_debian_package_has_the_same_bytes_and_checks_of_its_own_files(
    house: Path, tmp_path: Path
) -> None:
    lock(tmp_path, "a-b==1.0 \\\n    --hash=sha256:00\n")
    for name in ("release", "deploy", "LICENSE", "CHANGELOG.md"):
        (tmp_path / name).symlink_to(ROOT / name)
    packages = []
    for where in ("one", "two"):
        (tmp_path / where / "out").mkdir(parents=True)
        tree = make_tree(tmp_path, tmp_path / where / "tree", house)
        packages.append(debian.build(tmp_path, tree, tmp_path / where / "out"))

    assert packages[0].read_bytes() == packages[1].read_bytes()
    subprocess.run(["dpkg-deb", "-x", packages[0], tmp_path / "root"], check=True, timeout=60)
    subprocess.run(
        ["sha256sum", "--check", "--quiet", "--strict", checksums.NAME],
        check=True, cwd=tmp_path / "root/usr/lib/paddock", timeout=60,
    )  # fmt: skip
    assert (tmp_path / "root/etc/paddock/paddock.env").exists()


def test_the_engine_of_an_environment_is_a_wheel_again(tmp_path: Path) -> None:
    """Without what pip has added to it."""
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    metadata = packages / "llama_cpp_python-1.0.dist-info"
    contents = {
        "llama_cpp/lib/libllama.so": "code",
        "llama_cpp/__pycache__/x.pyc": "",
        f"{metadata.name}/INSTALLER": "pip",
        f"{metadata.name}/WHEEL": "Wheel-Version: 1.0\nTag: py3-none-linux_x86_64\n",
    }
    for name, text in contents.items():
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).write_text(text)
    (metadata / "RECORD").write_text("".join(f"{name},,\n" for name in contents))

    wheel = wheel_of(tmp_path, tmp_path / "wheels")

    assert wheel.name == "llama_cpp_python-1.0-py3-none-linux_x86_64.whl"
    with zipfile.ZipFile(wheel) as files:
        record, name = f"{metadata.name}/RECORD", "llama_cpp/lib/libllama.so"
        assert files.namelist() == [name, record, f"{metadata.name}/WHEEL"]
        lines = files.read(record).decode().splitlines()
        assert [line.split(",")[0] for line in lines] == [name, f"{metadata.name}/WHEEL", record]
        assert files.read("llama_cpp/lib/libllama.so") == b"code"


def test_licences_and_the_bill_of_materials_name_every_distribution(house: Path) -> None:
    document = json.loads(bill_of_materials(house))

    assert document["bomFormat"] == "CycloneDX"
    assert {each["name"] for each in document["components"]} == {
        "a_b", "llama_cpp_python", "paddock_server",
    }  # fmt: skip
    assert all(each["hashes"][0]["content"] for each in document["components"])
    text = licences(house)
    assert text.count("a_b 1.0: MIT") == 1
    assert text.count("Do.") == 3


def test_a_wheel_has_fixed_times(tmp_path: Path) -> None:
    wheel = add_wheel(tmp_path / "house", "x")

    assert read_wheel(wheel).licence == "MIT"
    with zipfile.ZipFile(wheel) as files:
        assert {info.date_time for info in files.infolist()} == {(2023, 11, 14, 22, 13, 20)}
