"""install.sh installs, upgrades and removes, and runs nothing of an archive that is not its own."""

import shutil
import stat
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from release import checksums, installer
from release.names import archive_name
from release.reproducible import write_tar_gz

ROOT = Path(__file__).parents[3]
SHELLS = [
    pytest.param(shell, marks=pytest.mark.skipif(not shutil.which(shell[0]), reason="not here"))
    for shell in (("dash",), ("busybox", "sh"), ("bash", "--posix"))
]
ENVIRONMENT = """#!/bin/sh
set -eu
mkdir -p "$1/bin"
printf '#!/bin/sh\\necho paddock {version}\\n' >"$1/bin/paddock"
chmod +x "$1/bin/paddock"
"""


class Quiet(SimpleHTTPRequestHandler):
    """A file server that logs nothing."""

    def log_message(self, *arguments: object) -> None:
        return


def make_release(folder: Path, version: str) -> Path:
    """Make a release whose `make-environment` writes a command that tells `version`."""
    tree = folder / archive_name()
    tree.mkdir(parents=True)
    (tree / "make-environment").write_text(ENVIRONMENT.format(version=version))
    (tree / "make-environment").chmod(0o755)
    shutil.copy(ROOT / "release" / "debian" / "paddock.env", tree)
    checksums.write(tree)
    write_tar_gz(folder / f"{archive_name()}.tar.gz", tree)
    shutil.rmtree(tree)
    installer.write(ROOT, folder, "")
    return folder


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    return make_release(tmp_path / "release", "7.8")


@pytest.fixture
def url(release: Path) -> Iterator[str]:
    """Where the release is served, on the loopback interface."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(release)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def run(
    script: Path, home: Path, *options: str, url: str = "", shell: tuple[str, ...] = ("sh",)
) -> subprocess.CompletedProcess[str]:
    environment = {"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin", "PADDOCK_URL": url}
    return subprocess.run(
        [*shell, "-s", "--", "--user", *options],
        input=script.read_text(),
        check=False,
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def files(folder: Path) -> set[str]:
    paths = (path for path in folder.rglob("*") if not path.is_dir())
    return {str(path.relative_to(folder)) for path in paths}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_from_a_pipe_downloads_and_installs_for_the_user(
    shell: tuple[str, ...], release: Path, url: str, home: Path
) -> None:
    answer = run(release / "install.sh", home, "--no-service", url=url, shell=shell)

    assert answer.returncode == 0, answer.stderr
    assert "paddock 7.8 is installed" in answer.stdout
    command = home / ".local" / "bin" / "paddock"
    assert (
        subprocess.run([command], capture_output=True, text=True, check=True, timeout=60).stdout
        == "paddock 7.8\n"
    )
    settings = (home / ".config" / "paddock" / "paddock.env").read_text()
    assert f"OLLAMA_MODELS={home}/.ollama/models\n" in settings


@pytest.mark.parametrize("shell", SHELLS)
def test_an_archive_that_was_changed_is_refused_before_anything_of_it_is_run(
    shell: tuple[str, ...], release: Path, url: str, home: Path
) -> None:
    archive = release / f"{archive_name()}.tar.gz"
    archive.write_bytes(archive.read_bytes() + b"\0")

    answer = run(release / "install.sh", home, url=url, shell=shell)

    assert answer.returncode == 1
    assert "nothing was installed" in answer.stderr
    assert files(home) == set()


def test_an_upgrade_keeps_settings_and_removing_keeps_the_models(
    release: Path, tmp_path: Path, home: Path
) -> None:
    archive = f"{archive_name()}.tar.gz"
    run(release / "install.sh", home, "--no-service", "--archive", str(release / archive))
    settings = home / ".config" / "paddock" / "paddock.env"
    settings.write_text("OLLAMA_KEEP_ALIVE=1h\n")
    state = home / ".ollama"
    (state / "models").mkdir(parents=True)
    for name in ("id_ed25519", "paddock-responses.db", "models/blob"):
        (state / name).touch()
    newer = make_release(tmp_path / "newer", "7.9")

    upgrade = run(newer / "install.sh", home, "--no-service", "--archive", str(newer / archive))

    assert "paddock 7.9 is installed" in upgrade.stdout
    assert settings.read_text() == "OLLAMA_KEEP_ALIVE=1h\n"

    removal = run(newer / "install.sh", home, "--uninstall")

    assert removal.returncode == 0, removal.stderr
    assert files(home) == {".ollama/id_ed25519", ".ollama/models/blob"}
    assert run(newer / "install.sh", home, "--uninstall", "--models").returncode == 0
    assert files(home) == {".ollama/id_ed25519"}


@pytest.mark.parametrize(
    ("options", "status", "reason"),
    [
        (("--no-such-option",), 2, "usage:"),
        (("--models",), 2, "usage:"),
        (("--archive", "no-such-file"), 1, "no-such-file is not there"),
        ((), 1, "set PADDOCK_URL to where"),
    ],
)
def test_what_is_missing_is_said_on_one_line(
    options: tuple[str, ...], status: int, reason: str, release: Path, home: Path
) -> None:
    answer = run(release / "install.sh", home, *options)

    assert answer.returncode == status
    assert reason in answer.stderr
    assert files(home) == set()


def test_a_server_that_is_not_there_is_named(release: Path, home: Path) -> None:
    answer = run(release / "install.sh", home, url="http://127.0.0.1:1")

    assert answer.returncode == 1
    assert f"http://127.0.0.1:1/{archive_name()}.tar.gz cannot be downloaded" in answer.stderr


@pytest.mark.parametrize("script", ["install.sh", "make-environment", "debian/postinst"])
def test_a_script_is_written_for_any_posix_shell(script: str) -> None:
    path = ROOT / "release" / script

    assert path.read_text().startswith("#!/bin/sh\n")
    assert path.stat().st_mode & stat.S_IXUSR
    for shell in (("dash", "-n"), ("busybox", "sh", "-n")):
        if shutil.which(shell[0]):
            assert subprocess.run([*shell, path], check=False, timeout=60).returncode == 0
