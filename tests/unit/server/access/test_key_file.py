"""The file of API keys: what it holds, who may read it, and what a killed writer leaves."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from server.access.key import ApiKey, KeyLimits, KeyRequest, token_hash
from server.access.key_changes import create_key, revoke_key
from server.access.key_file import read_keys
from server.access.keys import Keys
from server.caller import Priority, Scope
from server.errors import BadRequest, KeyFileError, NotFound

NOW = 1_000_000.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "new" / "keys.json"


def create(file: Path, name: str = "ci", **fields: object) -> str:
    """Make a key; return its token."""
    return create_key(file, KeyRequest(name=name, **fields), NOW)[1]


def only(file: Path) -> ApiKey:
    (key,) = read_keys(file)
    return key


def test_a_key_is_read_as_it_was_made(file: Path) -> None:
    limits = KeyLimits(requests_per_minute=60, tokens_per_minute=9000, max_parallel=2)
    token = create(
        file,
        scopes=(Scope.READ, Scope.INFER),
        models=("Llama*",),
        priority=Priority.BATCH,
        limits=limits,
        seconds=60.0,
    )
    key = only(file)

    assert (key.name, key.scopes, key.models) == ("ci", (Scope.INFER, Scope.READ), ("llama*",))
    assert (key.priority, key.limits) == (Priority.BATCH, limits)
    assert (key.created_at, key.expires_at) == (NOW, NOW + 60.0)
    assert key.sha256 == token_hash(token)


def test_the_file_is_its_owners_and_holds_no_token(file: Path) -> None:
    token = create(file)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert token not in file.read_text()
    assert token.removeprefix("pdk_") not in file.read_text()
    assert json.loads(file.read_text())["version"] == 1


def test_tokens_cannot_be_guessed(file: Path) -> None:
    tokens = {create(file, name=f"k{i}") for i in range(20)}

    assert len(tokens) == 20
    assert all(token.startswith("pdk_") and len(token) >= 46 for token in tokens)


def test_a_name_stands_for_one_valid_key(file: Path) -> None:
    create(file)
    with pytest.raises(BadRequest, match='there is an API key "ci" already'):
        create(file)
    revoke_key(file, "ci", NOW)
    create(file)

    assert [bool(key.revoked_at) for key in read_keys(file)] == [True, False]


def test_a_key_that_is_not_there_cannot_be_revoked(file: Path) -> None:
    create(file)
    revoke_key(file, "ci", NOW)
    for name in ("ci", "other"):
        with pytest.raises(NotFound, match=f'there is no API key "{name}"'):
            revoke_key(file, name, NOW)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"name": ""}, "name"),
        ({"name": "a b"}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": "a\n"}, "name"),
        ({"name": "a", "scopes": ()}, "scope"),
        ({"name": "a", "models": ("",)}, "patterns"),
        ({"name": "a", "limits": KeyLimits(max_parallel=-1)}, "limit"),
        ({"name": "a", "seconds": -1.0}, "0 seconds"),
    ],
)
def test_what_no_key_can_be_is_refused(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        KeyRequest(**fields)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "damaged"),
        (b'{"version": 1, "ke', "damaged"),
        (b'{"version": 1, "keys": [{"name": "a"}]}', "damaged"),
        (b'{"version": 2, "people": []}', "newer version"),
    ],
)
def test_a_file_that_cannot_be_used_is_no_file_without_keys(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    """Otherwise a damaged file would open the server to everybody."""
    file = tmp_path / "keys.json"
    file.write_bytes(content)
    with pytest.raises(KeyFileError, match=reason):
        Keys(file)


def test_a_writer_that_is_killed_leaves_a_whole_file(file: Path) -> None:
    """Keys are made and revoked as fast as possible by a process that is killed in between."""
    create(file, name="first")
    program = (
        "import sys, time, itertools\n"
        "from pathlib import Path\n"
        "from server.access.key import KeyRequest\n"
        "from server.access.key_changes import create_key, revoke_key\n"
        "file = Path(sys.argv[1])\n"
        "for i in itertools.count():\n"
        "    create_key(file, KeyRequest(name=f'k{i}'), 1.0)\n"
        "    print(f'k{i}', flush=True)\n"
        "    if i % 3 == 2: revoke_key(file, f'k{i - 1}', 1.0)\n"
    )
    for _ in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", program, str(file)], stdout=subprocess.PIPE, env=os.environ
        )
        assert writer.stdout is not None
        told = [writer.stdout.readline().strip().decode() for _ in range(4)]
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        names = {key.name for key in read_keys(file)}

        assert names >= {"first", *told}
        for name in names - {"first"}:
            _revoke(file, name)
    create(file, name="last")

    assert not list(file.parent.glob(".*.part"))


def _revoke(file: Path, name: str) -> None:
    if any(key.name == name and not key.revoked_at for key in read_keys(file)):
        revoke_key(file, name, time.time())
