"""/api/keys and /api/usage, and what the audit log tells of it all."""

import json
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.access.key import KeyRequest
from server.access.key_changes import create_key, revoke_key
from server.caller import Scope
from tests.api.conftest import TEXT_MODEL
from tests.support.application import Server, serving

pytestmark = pytest.mark.anyio


class Admin:
    """A server, and the holder of a key with all scopes."""

    def __init__(self, server: Server, directory: Path, token: str) -> None:
        self.server, self.directory, self.token = server, directory, token

    async def ask(self, method: str, path: str, token: str = "", **body: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {token or self.token}"}
        return await self.server.http.request(method, path, json=body or None, headers=headers)

    @property
    def audit(self) -> list[dict[str, Any]]:
        """What the audit log tells so far."""
        log = self.server.app.state.access.audit
        log.close()
        lines = (self.directory / "paddock-audit.log").read_text().splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture
async def admin(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Admin]:
    file = tmp_path / "paddock-api-keys.json"
    request = KeyRequest(name="admin", scopes=tuple(Scope))
    token = create_key(file, request, time.time())[1]
    async with serving(tmp_path) as server:
        made = Admin(server, tmp_path, token)
        headers = {"authorization": f"Bearer {token}"}
        server.http.headers.update(headers)
        await server.create("base", TEXT_MODEL)
        yield made


async def test_a_key_is_made_used_listed_and_revoked(admin: Admin) -> None:
    made = await admin.ask("POST", "/api/keys", name="ci", scopes=["read"], expires="1h")
    token = made.json()["key"]
    used = await admin.ask("GET", "/api/tags", token)
    listed = (await admin.ask("GET", "/api/keys")).json()["keys"]
    gone = await admin.ask("DELETE", "/api/keys/ci")
    later = await admin.ask("GET", "/api/tags", token)

    assert made.status_code == 201
    assert (used.status_code, gone.status_code, later.status_code) == (200, 200, 401)
    assert [key["name"] for key in listed] == ["admin", "ci"]
    assert listed[1]["scopes"] == ["read"]
    assert "sha256" not in str(listed)
    assert token not in str(listed)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"name": "a b"}, 'the name "a b" of a key must be'),
        ({"name": "admin"}, 'there is an API key "admin" already'),
        ({"name": "a", "scopes": ["all"]}, 'scope is "all", but must be one of infer, read'),
        ({"name": "a", "priority": "high"}, 'priority is "high", but must be one of'),
        ({"name": "a", "expires": "soon"}, 'expires is "soon", but must be a duration'),
        ({"name": "a", "max_parallel": -1}, "a limit of a key must be a whole number"),
    ],
)
async def test_what_no_key_can_be_is_refused(admin: Admin, body: dict[str, Any], text: str) -> None:
    answer = await admin.ask("POST", "/api/keys", **body)

    assert answer.status_code == 400
    assert text in answer.json()["error"]


async def test_the_first_key_is_not_made_over_the_network(shared: Server) -> None:
    """Whoever made it would lock out everybody else."""
    answer = await shared.http.post("/api/keys", json={"name": "mine"})

    assert answer.status_code == 403
    assert "`paddock key create NAME" in answer.json()["error"]


async def test_usage_is_told_by_day_key_and_model(admin: Admin) -> None:
    answers = [
        (await admin.ask("POST", "/api/generate", model="base", prompt="a b", stream=False)).json()
        for _ in range(3)
    ]
    await admin.ask("POST", "/api/generate", model="missing", prompt="a b")
    made = await admin.ask("POST", "/api/keys", name="guest", scopes=["read"])
    guest = made.json()["key"]
    rows = (await admin.ask("GET", "/api/usage")).json()["usage"]
    own = (await admin.ask("GET", "/api/usage", guest)).json()["usage"]
    [row] = [row for row in rows if row["model"] == "base:latest"]

    assert (row["key"], row["requests"], row["errors"]) == ("admin", 3, 0)
    assert row["day"] == time.strftime("%Y-%m-%d", time.gmtime())
    assert row["prompt_tokens"] == sum(answer["prompt_eval_count"] for answer in answers)
    assert row["generated_tokens"] == sum(answer["eval_count"] for answer in answers)
    assert sum(row["errors"] for row in rows) == 1
    assert {row["key"] for row in own} <= {"guest"}


@pytest.mark.parametrize("days", ["0", "367", "-1", "x", "1.5", "²"])
async def test_days_that_make_no_sense_are_refused(admin: Admin, days: str) -> None:
    assert (await admin.ask("GET", f"/api/usage?days={days}")).status_code == 400


async def test_usage_is_kept_when_the_server_ends(tmp_path: Path, anyio_backend: str) -> None:
    token = create_key(tmp_path / "paddock-api-keys.json", KeyRequest(name="me"), time.time())[1]
    for n in (1, 2):
        async with serving(tmp_path) as server:
            server.http.headers["authorization"] = f"Bearer {token}"
            await server.http.get("/api/tags")
            server.app.state.access.usage.flush()
        with sqlite3.connect(tmp_path / "paddock-usage.db") as connection:
            [[requests]] = connection.execute("SELECT sum(requests) FROM usage").fetchall()
        connection.close()
        assert requests == n


async def test_the_audit_log_tells_who_did_what_with_which_outcome(admin: Admin) -> None:
    before = len(admin.audit)
    answer = await admin.ask("POST", "/api/chat", model="base", messages=[])
    await admin.ask("DELETE", "/api/delete", model="missing")
    await admin.ask("GET", "/api/tags", "wrong")
    await admin.server.http.get("/livez")
    done, failed, denied = admin.audit[before:]

    assert done["request_id"] == answer.headers["x-request-id"]
    assert (done["key"], done["action"], done["model"]) == (
        "admin",
        "POST /api/chat",
        "base:latest",
    )
    assert (done["status"], done["outcome"], done["address"]) == (200, "ok", "127.0.0.1")
    assert (failed["action"], failed["model"]) == ("DELETE /api/delete", "missing")
    assert (failed["status"], failed["outcome"]) == (404, "failed")
    assert "key" not in denied
    assert (denied["action"], denied["outcome"]) == ("GET /api/tags", "denied")
    assert denied["time"].startswith(time.strftime("%Y-"))


async def test_the_audit_log_tells_of_keys_that_the_command_made_or_revoked(admin: Admin) -> None:
    file = admin.directory / "paddock-api-keys.json"
    create_key(file, KeyRequest(name="ci"), time.time())
    await admin.server.app.state.access.keys.refresh()
    revoke_key(file, "ci", time.time())
    await admin.server.app.state.access.keys.refresh()

    assert [line["action"] for line in admin.audit[-2:]] == ["key create ci", "key revoke ci"]


async def test_without_keys_nothing_is_recorded(tmp_path: Path, anyio_backend: str) -> None:
    async with serving(tmp_path) as server:
        await server.http.get("/api/tags")

    assert not (tmp_path / "paddock-audit.log").exists()
    assert not (tmp_path / "paddock-usage.db").exists()


async def test_an_audit_log_that_is_asked_for_is_written_without_keys(
    tmp_path: Path, anyio_backend: str
) -> None:
    async with serving(tmp_path, audit_log=tmp_path / "log") as server:
        await server.http.get("/api/tags")

    assert json.loads((tmp_path / "log").read_text())["action"] == "GET /api/tags"
