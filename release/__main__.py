"""`python -m release`: build everything that a release consists of, reproducibly, in dist/."""

import argparse
import os
import shutil
import sys
from pathlib import Path

from release import (
    archive,
    checksums,
    debian,
    engine,
    installed,
    installer,
    project,
    wheelhouse,
)
from release.bill_of_materials import bill_of_materials
from release.licences import licences
from release.names import NAME, VERSION, archive_name

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Build into an empty folder; what is downloaded or compiled is kept in `--cache`."""
    parser = argparse.ArgumentParser(prog="release", description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "release")
    parser.add_argument("--engine", type=Path, help="a wheel of it, or an environment with it")
    parser.add_argument("--url", default="", help="where install.sh downloads the archive")
    options = parser.parse_args()
    os.environ.setdefault("SOURCE_DATE_EPOCH", project.commit_time(ROOT))
    os.umask(0o022)
    output, cache = options.output.resolve(), options.cache.resolve()
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    cache.mkdir(parents=True, exist_ok=True)

    step("the project")
    project.build(ROOT, output)
    step("the engine")
    built = _engine(options.engine, cache)
    shutil.copy(built, output)
    step("the wheels of all requirements")
    house = wheelhouse.collect(ROOT, cache, [*output.glob("*.whl")])
    step("the archive")
    tree = archive.make_tree(ROOT, cache / archive_name(), house)
    archive.pack(tree, output / f"{archive_name()}.tar.gz")
    step("the Debian package")
    debian.build(ROOT, tree, output)
    step("documents")
    (output / f"{NAME}-{VERSION}.cdx.json").write_text(bill_of_materials(house))
    (output / "THIRD-PARTY-LICENCES.txt").write_text(licences(house))
    installer.write(ROOT, output, options.url)
    checksums.write(output)


def _engine(given: Path | None, cache: Path) -> Path:
    if given is None:
        return engine.build(ROOT, cache)
    if given.is_file():
        return given
    folder = cache / "installed"
    shutil.rmtree(folder, ignore_errors=True)
    return engine.repair(installed.wheel_of(given, folder / "unrepaired"), folder)


def step(text: str) -> None:
    """Say what is being built."""
    print(f"release: {text}", file=sys.stderr, flush=True)


main()
