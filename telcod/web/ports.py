"""What the HTTP door needs of the daemon behind it.

`telcod.app` implements `Backend`; tests have a fake one held to the same protocol.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from telcod.clock import Clock
from telcod.metrics import Metrics
from telcod.msisdn import Msisdn, NumberError
from telcod.prompts import Prompts
from telcod.rows import Token
from telcod.types import Answer, Request


class LinkStatus(msgspec.Struct, frozen=True):
    """A link to an SMSC, as it is now; `outstanding` is texts sent to it without an answer yet."""

    name: str
    host: str
    port: int
    short_codes: tuple[str, ...]
    bound: bool
    last_error: str = ""
    outstanding: int = 0


class Status(msgspec.Struct, frozen=True):
    """The daemon, as it is now.

    `commit_ms` is the moment of the last commit, Unix milliseconds (0: none yet); `clock_jumped`
    means that a person must confirm the clock before anything happens by it again.
    """

    version: str
    uptime_s: int
    links: tuple[LinkStatus, ...]
    queue_requests: int
    outbox_pending: int
    commit_ms: int
    clock_jumped: bool = False


# A backup that was written, synced and checked: its path, and its size in bytes.
BackupDone = tuple[Path, int]


class Backend(Protocol):
    """The daemon as the HTTP door sees it.  Everything is called on the loop's thread."""

    @property
    def metrics(self) -> Metrics:
        """The daemon's numbers."""
        ...

    @property
    def clock(self) -> Clock:
        """The daemon's clock."""
        ...

    @property
    def prompts(self) -> Prompts:
        """What voice platforms say, by the rules in force."""
        ...

    async def submit(self, request: Request) -> Answer:
        """Carry out one request; returns after COMMIT.

        Raises:
            Overloaded: Too many wait, or the disk is full; nothing happened.
            Unavailable: The daemon is stopping, or its writer is gone; nothing happened.
            KeyReused: The key was used for another request; nothing happened.
        """
        ...

    def health(self) -> Sequence[str]:
        """Why the daemon is as good as dead, in a few words each; nothing while it lives."""
        ...

    def ready_lacks(self) -> Sequence[str]:
        """What is missing to serve, the reasons of `health` among it; nothing when it can."""
        ...

    async def status(self) -> Status:
        """The daemon, as it is now."""
        ...

    async def tokens(self) -> Sequence[Token]:
        """All bearer tokens, the revoked ones too, as committed."""
        ...

    async def backup(self, path: Path) -> BackupDone:
        """Copy the books into a new file while work goes on.

        Raises:
            TelcodError: There is such a file already, or it can't be written.
        """
        ...

    def parse_number(self, text: str) -> Msisdn | NumberError:
        """Understand a number in any accepted form, by the rules in force (NUM-1, NUM-2)."""
        ...

    def confirm_clock(self) -> bool:
        """A person says that the wall clock is right; returns whether it had jumped."""
        ...
