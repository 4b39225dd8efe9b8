"""What systemd is told of the daemon: that it is ready, that it stops, that it still works.

The protocol is one datagram a message to the socket that `$NOTIFY_SOCKET` names (sd_notify(3)); no
library is needed.  Without systemd nothing is sent.  The watchdog is fed only after the writer has
answered: a daemon whose disk or writer hangs is restarted, one that is merely busy, or whose disk
is full, is not.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog

from telcod.errors import Overloaded, TelcodError
from telcod.types import Answer, Channel, Request

ALIVE_ROUTE: Final = "daemon.alive"
FEEDS_PER_WATCH: Final = 3
"""So many feeds within the watchdog's time: one may be late."""
_USECS: Final = 1_000_000

_log = structlog.get_logger("telcod.systemd")


class Systemd:
    """The service manager of this process, if there is one.

    Args:
        environ: The environment that it started us with.
        pid: Our process; a watchdog that is meant for another is not ours to feed.
    """

    def __init__(self, environ: Mapping[str, str], *, pid: int) -> None:
        self._address: Final = _address(environ.get("NOTIFY_SOCKET", ""))
        usecs, whose = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
        ours = not whose or whose == str(pid)
        self.watchdog_s: Final = int(usecs) / _USECS if ours and usecs.isdigit() else 0.0
        """After so many silent seconds we are killed and started again; 0: there is no watchdog."""

    def ready(self, status: str) -> None:
        """The books are open and HTTP listens."""
        self._tell(f"READY=1\nSTATUS={status}")

    def stopping(self) -> None:
        """No new work; what was accepted is finished."""
        self._tell("STOPPING=1\nSTATUS=stopping")

    async def keep(
        self, submit: Callable[[Request], Awaitable[Answer]], status: Callable[[], str]
    ) -> None:
        """Feed the watchdog, each time after the writer has answered; cancel to stop."""
        if not self.watchdog_s or self._address is None:
            return
        wait_s = self.watchdog_s / FEEDS_PER_WATCH
        while True:
            if await self._works(submit):
                self._tell(f"WATCHDOG=1\nSTATUS={status()}")
            await asyncio.sleep(wait_s)

    async def _works(self, submit: Callable[[Request], Awaitable[Answer]]) -> bool:
        try:
            async with asyncio.timeout(self.watchdog_s):
                await submit(Request(ALIVE_ROUTE, channel=Channel.CLOCK))
        except Overloaded:
            return True  # It says so itself, so it lives: a restart would make no room.
        except (TelcodError, TimeoutError) as error:
            _log.error("watchdog.unfed", reason=str(error) or "the writer does not answer")
            return False
        return True

    def _tell(self, message: str) -> None:
        if self._address is None:
            return
        # A manager that is gone or slow is no reason to stop, or to wait.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
        ):
            sock.settimeout(0)
            sock.sendto(message.encode(), self._address)


def _address(name: str) -> str | None:
    """The socket's address; `@` begins one without a file."""
    if name.startswith("@"):
        return f"\0{name[1:]}"
    return name if name.startswith("/") else None
