"""THIRD-PARTY-LICENCES.txt: the licence of everything that a release contains."""

from pathlib import Path

from release.metadata import read_wheels

_RULE = "=" * 78


def licences(house: Path) -> str:
    """Return the text; distributions of several wheels stand in it once."""
    wheels = {wheel.name: wheel for wheel in read_wheels(house)}
    parts = [
        f"{_RULE}\n{wheel.name} {wheel.version}: {wheel.licence}\n{_RULE}\n\n"
        + "\n\n".join(wheel.texts.values() or ["(no text is in the distribution)"])
        for _, wheel in sorted(wheels.items())
    ]
    return "\n\n".join(parts) + "\n"
