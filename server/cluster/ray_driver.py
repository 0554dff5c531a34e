"""The Ray driver: joins or starts a Ray cluster and keeps an agent on each of its nodes.

A process of its own, `python -m server.cluster.ray_driver`, so that the server neither imports Ray
nor ends with it. It reads its `DriverConfig` as a line of JSON from stdin, and ends when stdin
does; to stdout it writes a `DriverReport` on a line whenever something has changed.
"""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

import msgspec
import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from server.cluster.driver_messages import DriverConfig, DriverReport, NodeReport
from server.cluster.ray_agent import HEAD_NAME, NAMESPACE, AgentActor, HeadActor

_POLL_SECONDS = 1.0
_JOIN_SECONDS = 60.0
"""How long this machine may take to join the cluster."""
_HEAD_SECONDS = 10.0
"""How long the name of a server that has ended may still be taken."""
_END_SECONDS = 10.0
_OBJECT_STORE = 80 << 20
"""Bytes; paddock puts nothing into Ray's object store."""
_AUTO = "auto"


class _Refusal(Exception):
    """There is no cluster to work with; the text says why."""


class Nodes:
    """The nodes besides this machine's own, and the agent of each."""

    def __init__(self, config: DriverConfig) -> None:
        self._config = config
        self._actor_class = ray.remote(AgentActor)
        self._own = ray.get_runtime_context().get_node_id()
        self._own_names: dict[str, str] = {}
        self._names: dict[str, str] = {}
        """Those that are unique among the nodes whose agents answer."""
        self._actors: dict[str, Any] = {}
        self._addresses: dict[str, tuple[str, int]] = {}
        self._calls: dict[Any, str] = {}
        """The open calls, by which agents tell their addresses and their ends, with their nodes."""

    def poll(self, seconds: float) -> tuple[NodeReport, ...]:
        """Look for changes, for so many seconds at most; return all nodes."""
        alive = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
        alive.pop(self._own, None)
        for gone in self._actors.keys() - alive.keys():
            self._forget(gone)
        for id in alive.keys() - self._actors.keys():
            self._begin(id, alive[id])
        for id in self._actors.keys() - set(self._calls.values()):
            self._calls[self._actors[id].address.remote()] = id
        end = time.monotonic() + seconds
        calls = list(self._calls)
        ready, _ = ray.wait(calls, timeout=seconds) if calls else ([], [])
        for call in ready:
            self._take(call)
        if not self._calls:
            time.sleep(max(0.0, end - time.monotonic()))
        return tuple(
            NodeReport(id, self._names[id], *self._addresses.get(id, ("", 0)))
            for id in self._actors
        )

    def _begin(self, id: str, node: dict[str, Any]) -> None:
        """Start the agent of a new node, which Ray starts again whenever it ends.

        It has all GPUs of the node, so that Ray gives them to nobody else.
        """
        name = str(node["NodeName"])
        if name == node["NodeManagerAddress"]:
            name = str(node["NodeManagerHostname"])
        self._own_names[id] = self._names[id] = name
        self._actors[id] = self._actor_class.options(
            num_cpus=0,
            num_gpus=node["Resources"].get("GPU", 0),
            max_restarts=-1,
            max_concurrency=8,
            scheduling_strategy=NodeAffinitySchedulingStrategy(id, soft=False),
        ).remote(self._config.secret, self._config.port)

    def _take(self, call: Any) -> None:
        id = self._calls.pop(call)
        try:
            address = ray.get(call)
        except RayError as e:
            _log(f"the agent of {self._names[id]} has ended or cannot start: {type(e).__name__}")
            address = None
            time.sleep(_POLL_SECONDS)
        if address is None:
            self._addresses.pop(id, None)
        else:
            self._addresses[id] = tuple(address)
            self._names[id] = self._unique_name(id)
            self._calls[self._actors[id].wait.remote()] = id

    def _unique_name(self, id: str) -> str:
        """Return the own name of a node, which one that is back has again."""
        taken = {self._names[other] for other in self._addresses if other != id}
        name = self._own_names[id]
        return f"{name}-{id[:6]}" if name in taken else name

    def _forget(self, id: str) -> None:
        with contextlib.suppress(RayError):
            ray.kill(self._actors[id])
        del self._actors[id], self._names[id], self._own_names[id]
        self._addresses.pop(id, None)
        self._calls = {call: of for call, of in self._calls.items() if of != id}


@contextlib.contextmanager
def cluster(address: str) -> Iterator[None]:
    """Join the Ray cluster at `address`, or the one that runs here; start one if there is none.

    Raises _Refusal.
    """
    options = {"namespace": NAMESPACE, "log_to_driver": False, "logging_level": "warning"}
    started: subprocess.Popen[bytes] | None = None
    try:
        try:
            ray.init(address=address, **options)
        except (ConnectionError, ValueError, RuntimeError):
            started = _start_node(address)
            _join(started, address, options)
        yield
    finally:
        ray.shutdown()
        if started is not None:
            started.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                started.wait(_END_SECONDS)


def _start_node(address: str) -> "subprocess.Popen[bytes]":
    """Make this machine a node of the cluster, or the head of a new one, until this process ends.

    It offers Ray no processors, because the server has its runners here itself.
    """
    where = ["--head", "--include-dashboard=false"] if address == _AUTO else ["--address", address]
    return subprocess.Popen(
        [sys.executable, "-m", "ray.scripts.scripts", "start", *where, "--block", "--num-cpus=0",
         "--num-gpus=0", f"--object-store-memory={_OBJECT_STORE}", "--disable-usage-stats"],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
    )  # fmt: skip


def _join(node: "subprocess.Popen[bytes]", address: str, options: dict[str, Any]) -> None:
    deadline = time.monotonic() + _JOIN_SECONDS
    while True:
        try:
            ray.init(address=address, **options)
        except (ConnectionError, ValueError, RuntimeError) as e:
            if node.poll() is not None or time.monotonic() > deadline:
                raise _Refusal(f"there is no Ray cluster at {address}") from e
            time.sleep(_POLL_SECONDS)
        else:
            return


def take_head() -> Any:
    """Take the name that one server of a cluster has; raises _Refusal where another has it.

    It is held here, where it ends with nothing but this driver.
    """
    deadline = time.monotonic() + _HEAD_SECONDS
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {"name": HEAD_NAME, "num_cpus": 0, "scheduling_strategy": here}
    while True:
        try:
            head = ray.remote(HeadActor).options(**options).remote()
            ray.get(head.take.remote(), timeout=_JOIN_SECONDS)
        except ValueError as e:
            if time.monotonic() > deadline:
                raise _Refusal("another paddock server has this Ray cluster") from e
            time.sleep(_POLL_SECONDS)
        else:
            return head


def _end_of(source: BinaryIO) -> threading.Event:
    """Return an event that is set when `source` ends: the server is gone, or closes.

    This process ends then in any case, however Ray hangs.
    """
    is_over = threading.Event()

    def watch() -> None:
        source.read()
        is_over.set()
        time.sleep(_END_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    return is_over


def _log(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def main() -> None:
    """Report the nodes until stdin ends."""
    with os.fdopen(os.dup(1), "wb", buffering=0) as reports:
        os.dup2(2, 1)  # what Ray prints is no report
        config = msgspec.json.decode(sys.stdin.buffer.readline(), type=DriverConfig)

        def report(text: DriverReport) -> None:
            reports.write(msgspec.json.encode(text) + b"\n")

        is_over = _end_of(sys.stdin.buffer)
        try:
            with cluster(config.address):
                head = take_head()
                nodes, last = Nodes(config), None
                while head is not None and not is_over.is_set():
                    now = nodes.poll(_POLL_SECONDS)
                    if now != last:
                        report(DriverReport(now))
                        last = now
        except _Refusal as e:
            report(DriverReport(refusal=str(e)))


if __name__ == "__main__":
    main()
