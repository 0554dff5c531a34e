"""Audit log and usage: bounded, and readable after the process was killed in the middle."""

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from server.access.audit import N_FILES, AuditLog, remove_half_line
from server.access.usage import UsageLog, read_usage
from server.errors import ServerBusy

DAY = 86_400.0


def test_a_full_log_is_set_aside_and_the_oldest_is_dropped(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "log", 1000)
    for i in range(200):
        log.add({"n": i + 1})
    log.close()
    files = [tmp_path / "log", *(tmp_path / f"log.{n}" for n in range(1, N_FILES))]
    numbers = [
        json.loads(line)["n"] for f in reversed(files) for line in f.read_text().split("\n")[:-1]
    ]

    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert all(f.stat().st_size <= 1000 for f in files)
    assert numbers == list(range(201 - len(numbers), 201))
    assert all(stat.S_IMODE(f.stat().st_mode) == 0o600 for f in files)


def test_texts_of_clients_stay_on_their_line(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "log", 1 << 20)
    log.add({"model": 'a"\n{"key": "root"}\u2028', "status": 0})
    log.close()

    (line,) = (tmp_path / "log").read_bytes().removesuffix(b"\n").split(b"\n")
    assert json.loads(line)["model"] == 'a"\n{"key": "root"}\u2028'


@pytest.mark.parametrize(
    ("content", "rest"),
    [(b"", b""), (b"a\n", b"a\n"), (b"a\nb", b"a\n"), (b"b", b""), (b"a\n" + b"x" * 9000, b"a\n")],
)
def test_half_a_line_at_the_end_is_removed(tmp_path: Path, content: bytes, rest: bytes) -> None:
    file = tmp_path / "log"
    file.write_bytes(content)
    remove_half_line(file)

    assert file.read_bytes() == rest


def test_a_disk_that_does_not_write_costs_lines_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    log = AuditLog(tmp_path / "file" / "log", 1 << 20)
    usage = UsageLog(tmp_path / "file" / "usage")
    log.add({"n": 1})
    usage.add("a", "m", requests=1)
    log.close()
    usage.flush()

    assert not usage.rows(1) if (tmp_path / "file" / "usage").exists() else True


def test_what_a_full_disk_did_not_take_is_written_later(tmp_path: Path) -> None:
    blocked = tmp_path / "later"
    blocked.write_text("")
    usage = UsageLog(blocked / "usage", seconds=3600)
    usage.add("a", "m", requests=1)
    usage.flush()
    blocked.unlink()
    usage.add("a", "m", requests=2)
    usage.flush()

    [row] = usage.rows(1)
    assert (row.key, row.model, row.requests) == ("a", "m", 3)


def test_days_are_kept_for_a_year(tmp_path: Path) -> None:
    now = 1_800_000_000.0
    clock = [now - 400 * DAY]
    usage = UsageLog(tmp_path / "usage", now=lambda: clock[0], seconds=3600)
    for days_ago in (400, 365, 10, 0):
        clock[0] = now - days_ago * DAY
        usage.add("a", "m", requests=1)
    usage.flush()

    assert len(usage.rows(500)) == 3
    assert len(usage.rows(11)) == 2
    assert len(usage.rows(1, key="b")) == 0


def test_records_of_a_killed_process_are_whole(tmp_path: Path) -> None:
    """Written as fast as possible by a process that is killed in the middle, five times."""
    program = (
        "import sys, itertools\n"
        "from pathlib import Path\n"
        "from server.access.audit import AuditLog\n"
        "from server.access.usage import UsageLog\n"
        "folder = Path(sys.argv[1])\n"
        "log = AuditLog(folder / 'log', 20_000, seconds=0.001)\n"
        "usage = UsageLog(folder / 'usage', seconds=0.001)\n"
        "for i in itertools.count(1):\n"
        "    log.add({'n': i, 'model': 'x' * 500})\n"
        "    usage.add('a', f'm{i % 7}', requests=1, prompt_tokens=3)\n"
        "    if i % 100 == 0: log.close(); usage.flush(); print(i, flush=True)\n"
    )
    written = 0
    for _ in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, env=os.environ
        )
        assert writer.stdout is not None
        for _ in range(2):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        written += 200
        writer.wait()
        writer.stdout.close()
        for file in tmp_path.glob("log*"):
            remove_half_line(file)
            for line in file.read_bytes().splitlines():
                assert json.loads(line)["model"] == "x" * 500
        rows = read_usage(tmp_path / "usage", time.time(), 2)
        assert sum(row.requests for row in rows) >= written
        assert all(row.prompt_tokens == 3 * row.requests for row in rows)
    connection = sqlite3.connect(tmp_path / "usage")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_usage_that_a_newer_version_wrote_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "usage"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    content = path.read_bytes()
    usage = UsageLog(path, seconds=3600)
    usage.add("a", "m", requests=1)

    with pytest.raises(ServerBusy, match="by a newer version of paddock"):
        usage.rows(1)
    assert path.read_bytes() == content
