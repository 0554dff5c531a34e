"""systemd: the sockets that it passes on, and what it is told."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from server.http.systemd import ServiceManager, activated_sockets

ACTIVATED = """
import os, socket, sys
from server.http.systemd import activated_sockets
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
sockets = activated_sockets(os.environ)
print([s.getsockname() for s in sockets], "LISTEN_FDS" in os.environ, sockets[0].get_inheritable())
"""


def test_sockets_for_another_process_are_left_alone() -> None:
    environment = {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x"}

    assert activated_sockets(environment) == []
    assert environment == {}


def test_the_sockets_of_systemd_are_used_and_not_passed_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        name = listener.getsockname()
        answer = subprocess.run(
            [sys.executable, "-c", ACTIVATED, str(listener.fileno())],
            pass_fds=[listener.fileno()],
            env={**os.environ, "LISTEN_FDS": "1"},
            capture_output=True,
            text=True,
            check=True,
        )

    assert answer.stdout == f"[{name}] False False\n"


@pytest.fixture
def manager_socket(tmp_path: Path) -> socket.socket:
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(str(tmp_path / "notify"))
    return receiver


def test_systemd_is_told_the_state_and_that_the_loop_turns(manager_socket: socket.socket) -> None:
    environment = {"NOTIFY_SOCKET": manager_socket.getsockname(), "WATCHDOG_USEC": "60000000"}
    with manager_socket:
        manager = ServiceManager(environment)
        manager.ready()
        manager.alive()
        manager.alive()
        manager.reloading()
        manager.stopping()
        told = [manager_socket.recv(99).decode() for _ in range(4)]

    assert environment == {}, "runners are not the service"
    assert told[0] == "READY=1"
    assert told[1] == "WATCHDOG=1"
    assert told[2].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert told[3] == "STOPPING=1"


def test_without_systemd_nobody_is_told() -> None:
    manager = ServiceManager({})

    manager.ready()
    manager.alive()


def test_a_manager_that_is_gone_harms_nothing(tmp_path: Path) -> None:
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "none")}).ready()
