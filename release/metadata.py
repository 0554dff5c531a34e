"""What a wheel tells about itself: name, version, licence and the texts of its licences."""

import re
import zipfile
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path

from release.checksums import sha256

_LICENCE_FILE = re.compile(r"(licen[cs]e|copying|notice)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Wheel:
    """`texts` are the licence files in it, by their names."""

    file: str
    sha256: str
    name: str
    version: str
    licence: str
    texts: dict[str, str]


def read_wheel(path: Path) -> Wheel:
    """Read the metadata of a wheel."""
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
        headers = HeaderParser().parsestr(
            wheel.read(next(n for n in names if n.endswith(".dist-info/METADATA"))).decode()
        )
        texts = {
            name: wheel.read(name).decode("utf-8", "replace").strip()
            for name in sorted(names)
            if ".dist-info/" in name and _LICENCE_FILE.search(name.rpartition("/")[2])
        }
    return Wheel(
        file=path.name,
        sha256=sha256(path),
        name=str(headers["Name"]),
        version=str(headers["Version"]),
        licence=_licence(headers),
        texts=texts,
    )


def _licence(headers: object) -> str:
    """Return the SPDX expression, else the first line or classifier that names the licence."""
    get, get_all = headers.get, headers.get_all  # type: ignore[attr-defined]
    if expression := get("License-Expression"):
        return str(expression)
    classifiers = [c for c in get_all("Classifier") or [] if c.startswith("License ::")]
    if classifiers:
        return ", ".join(c.rpartition(" :: ")[2] for c in classifiers)
    return (get("License") or "unknown").strip().splitlines()[0]


def read_wheels(house: Path) -> list[Wheel]:
    """Read all wheels of a folder, in the order of their file names."""
    return [read_wheel(path) for path in sorted(house.glob("*.whl"))]
