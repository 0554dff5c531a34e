"""install.sh of a release: the template with the version, and the hash of the archive."""

from pathlib import Path

from release.checksums import sha256
from release.names import VERSION, archive_name


def write(root: Path, output: Path, url: str) -> None:
    """Write install.sh beside the archive; `url` is where both will be downloaded."""
    archive = output / f"{archive_name()}.tar.gz"
    values = {
        "@VERSION@": VERSION,
        "@ARCHIVE@": archive.name,
        "@SHA256@": sha256(archive),
        "@URL@": url.rstrip("/"),
    }
    text = (root / "release" / "install.sh").read_text()
    for name, value in values.items():
        text = text.replace(name, value)
    script = output / "install.sh"
    script.write_text(text)
    script.chmod(0o755)
