"""Replay recorded requests against a server, and compare its answers with the recorded ones."""

import base64
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx

from tests.conformance.answers import Answer
from tests.conformance.compare import Strictness, differences

RECORDED = Path(__file__).with_name("recorded.json")


@dataclass(frozen=True, slots=True)
class Case:
    """Requests that are sent one after the other, each with the recorded answer."""

    id: str
    steps: tuple[dict[str, Any], ...]


def recorded_cases() -> list[Case]:
    """Return all cases in their order; the first one, `setup`, installs what the others use."""
    return [Case(case["id"], tuple(case["steps"])) for case in json.loads(RECORDED.read_text())]


@dataclass(frozen=True, slots=True)
class Replay:
    """A server with an empty store, and where the model files of the cases lie.

    With `stand_ins` the files are not the ones that the answers were recorded with: what succeeded
    is compared by its shape, errors word by word.
    """

    http: httpx.Client
    models: Path
    stand_ins: bool = False

    def play(self, case: Case) -> list[str]:
        """Send the requests of `case`; return the differences, an empty list when it agrees."""
        return [line for step in case.steps for line in self._step(step)]

    def _step(self, step: dict[str, Any]) -> Iterator[str]:
        if "sleep" in step:
            time.sleep(step["sleep"])
            return
        answer = self._send(step)
        if "answer" in step:
            recorded = Answer.recorded(step["answer"])
            for line in differences(recorded, answer, self._strictness(step, recorded)):
                yield f"{step['method']} {step['path']}: {line}"

    def _strictness(self, step: dict[str, Any], recorded: Answer) -> Strictness:
        strictness = Strictness(step.get("compare", "exact"))
        if strictness is Strictness.EXACT and self.stand_ins and recorded.status < 400:
            return Strictness.OTHER_WEIGHTS
        return strictness

    def _send(self, step: dict[str, Any]) -> Answer:
        headers = {"Content-Type": "application/json"}
        content = None
        if "file" in step:
            content = (self.models / step["file"]).read_bytes()
            headers["Content-Type"] = "application/octet-stream"
        elif "json" in step:
            content = json.dumps(self._filled(step["json"])).encode()
        elif "raw" in step:
            content = step["raw"].encode()
        path = self._filled(step["path"])
        reply = self.http.request(
            step["method"],
            "/",
            content=content,
            headers=headers,
            extensions={"target": path.encode()},  # as it is recorded, `..` included
        )
        media_type = reply.headers.get("Content-Type", "").lower().split(";")[0]
        return Answer(reply.status_code, media_type, reply.content.decode("utf-8", "replace"))

    def _filled(self, value: Any) -> Any:
        """Put digests and contents of model files where `value` names them."""
        if isinstance(value, dict):
            if value.keys() == {"$digest"}:
                return self._digest(value["$digest"])
            return {key: self._filled(part) for key, part in value.items()}
        if isinstance(value, list):
            return [self._filled(part) for part in value]
        if not isinstance(value, str):
            return value
        if value.startswith("$b64:"):
            return base64.b64encode((self.models / value[5:]).read_bytes()).decode()
        return re.sub(r"\$digest\(([^)]+)\)", lambda match: self._digest(match[1]), value)

    def _digest(self, name: str) -> str:
        return "sha256:" + sha256((self.models / name).read_bytes()).hexdigest()
