"""The Ray actor that runs an agent on a node of the cluster."""

import asyncio
import os
import threading

import ray

from server.cluster.agent import Agent, listen
from server.config.derived import cluster_files
from server.config.settings import Settings

NAMESPACE = "paddock"
HEAD_NAME = "paddock-head"


class AgentActor:
    """Runs an agent in a thread of its own, for as long as Ray runs the actor."""

    def __init__(self, secret: bytes, port: int) -> None:
        self._host = ray.util.get_node_ip_address()
        self._listener = listen(self._host, port)
        settings = Settings.from_env(os.environ)
        agent = Agent(settings.models, cluster_files(settings), secret)
        threading.Thread(target=self._run, args=(agent,), name="agent", daemon=True).start()

    def _run(self, agent: Agent) -> None:
        try:
            asyncio.run(agent.serve(self._listener))
        finally:
            os._exit(1)  # Ray starts another one

    def address(self) -> tuple[str, int]:
        """Return where the agent listens."""
        return self._host, self._listener.getsockname()[1]

    def wait(self) -> None:
        """Never return: Ray reports the end of the process."""
        threading.Event().wait()


class HeadActor:
    """Holds a name in the cluster that only one server can have; it ends with its driver."""

    def take(self) -> None:
        """Return once the name is taken."""
