"""Write archives whose bytes depend on nothing but the files: order, times and owners are fixed."""

import gzip
import os
import tarfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path


def source_date() -> int:
    """Return SOURCE_DATE_EPOCH, the time of all files in a release."""
    return int(os.environ["SOURCE_DATE_EPOCH"])


def write_zip(target: Path, files: Mapping[str, bytes]) -> None:
    """Write a wheel."""
    date = time.gmtime(max(source_date(), 315532800))[:6]  # a zip begins in 1980
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as result:
        for name, data in sorted(files.items()):
            info = zipfile.ZipInfo(name, date)
            info.external_attr = (0o755 if ".so" in name else 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            result.writestr(info, data)


def write_tar_gz(target: Path, folder: Path) -> None:
    """Write a folder, under its own name; its files are compressed already, or small."""
    with (
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=source_date()) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as result,
    ):
        for path in [folder, *sorted(folder.rglob("*"))]:
            info = result.gettarinfo(path, str(path.relative_to(folder.parent)))
            info.mtime, info.uid, info.gid = source_date(), 0, 0
            info.uname = info.gname = "root"
            info.mode = 0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644
            if path.is_file():
                with path.open("rb") as data:
                    result.addfile(info, data)
            else:
                result.addfile(info)
