"""systemd: sockets that it opened for the service, and notices of the service's state."""

import os
import socket
import time
from collections.abc import MutableMapping

_FIRST_SOCKET = 3


def activated_sockets(environment: MutableMapping[str, str]) -> list[socket.socket]:
    """Return the listening sockets that systemd passes on; child processes do not get them."""
    is_for_us = environment.pop("LISTEN_PID", "") == str(os.getpid())
    number = environment.pop("LISTEN_FDS", "")
    environment.pop("LISTEN_FDNAMES", "")
    if not (is_for_us and number.isdecimal()):
        return []
    sockets = []
    for fd in range(_FIRST_SOCKET, _FIRST_SOCKET + int(number)):
        os.set_inheritable(fd, False)  # noqa: FBT003 - has no name
        sockets.append(socket.socket(fileno=fd))
    return sockets


class ServiceManager:
    """Tells systemd what the service does; nothing where it was not started by systemd."""

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        self._address = environment.pop("NOTIFY_SOCKET", "")
        interval = environment.pop("WATCHDOG_USEC", "")
        is_for_us = environment.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._watchdog = int(interval) / 1e6 / 2 if interval.isdecimal() and is_for_us else 0.0
        self._next = 0.0

    def ready(self) -> None:
        """Tell that requests are served."""
        self._notify("READY=1")

    def reloading(self) -> None:
        """Tell that the configuration is read again; `ready` follows."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._notify(f"RELOADING=1\nMONOTONIC_USEC={microseconds}")

    def stopping(self) -> None:
        """Tell that the shutdown has begun."""
        self._notify("STOPPING=1")

    def alive(self) -> None:
        """Tell now and then that the event loop turns, where systemd watches for it."""
        if self._watchdog and time.monotonic() >= self._next:
            self._next = time.monotonic() + self._watchdog
            self._notify("WATCHDOG=1")

    def _notify(self, state: str) -> None:
        if not self._address:
            return
        # An address in the abstract namespace begins with "@".
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            try:
                sender.connect(address)
                sender.send(state.encode())
            except OSError:
                return  # its notices are of no use to a service that runs
