"""A Ray driver without Ray: runs an agent, loses sight of it for a moment, and finds it again.

Afterwards it reports another node, by which a test knows that all of that was read.
"""

import asyncio
import sys
import time
from pathlib import Path

import msgspec

from server.cluster.agent import Agent, listen
from server.cluster.driver_messages import DriverConfig, DriverReport, NodeReport
from tests.support.runners import COMMAND

JOINED = "joined"
"""The file that a test writes when there is a session."""
LAST = "last"


async def run(directory: Path, config: DriverConfig) -> None:
    """Write the reports once the agent has a session; then serve until stdin ends."""
    with listen("127.0.0.1") as listener:
        agent = Agent(directory / "models", directory / "files", config.secret, command=COMMAND)
        serving = asyncio.create_task(agent.serve(listener))
        node = NodeReport("1", "node", *listener.getsockname()[:2])
        _report(node)
        await asyncio.to_thread(_wait_for, directory / JOINED)
        for reports in ((NodeReport("1", "node", "", 0),), (node,)):
            _report(*reports)
        _report(node, NodeReport("2", LAST, "", 0))
        await asyncio.to_thread(sys.stdin.read)
        serving.cancel()
        await asyncio.wait([serving], timeout=20)


def _wait_for(file: Path) -> None:
    deadline = time.monotonic() + 60
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.02)


def _report(*nodes: NodeReport) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(DriverReport(nodes)) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    asyncio.run(
        run(Path(sys.argv[1]), msgspec.json.decode(sys.stdin.buffer.readline(), type=DriverConfig))
    )
