"""What the HTTP door needs of the daemon behind it.

`telcod.app` implements `Backend`; tests have a fake one held to the same protocol.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from telcod.clock import Clock
from telcod.errors import TelcodError
from telcod.metrics import Metrics
from telcod.msisdn import Msisdn, NumberError
from telcod.prompts import Prompts
from telcod.rows import Token
from telcod.smpp.trace import TraceLine
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


class BrokerStatus(msgspec.Struct, frozen=True):
    """The MQTT broker, as it is now; `events_behind` is events that it has not taken yet."""

    address: str
    connected: bool
    last_error: str = ""
    events_behind: int = 0


class Waiting(msgspec.Struct, frozen=True):
    """What the books hold that is not done yet, counted.

    `oldest_text_s` is the age of the oldest text to be sent, in seconds; `cases` are payments that
    a person must look at, `quarantined` requests that were set aside.
    """

    texts: int = 0
    oldest_text_s: int = 0
    pushes: int = 0
    mails: int = 0
    calls: int = 0
    sessions: int = 0
    payments: int = 0
    cases: int = 0
    quarantined: int = 0


class Status(msgspec.Struct, frozen=True):
    """The daemon, as it is now.

    `commit_ms` is the moment of the last commit, Unix milliseconds (0: none yet); `clock_jumped`
    means that a person must confirm the clock before anything happens by it again, and
    `clock_jump_ms` by how much it did; `lacks` is what keeps it from serving.  `http` and `fastagi`
    are addresses, empty where nothing listens.  `books_bytes` has `log_bytes` in it;
    `log_grows` means that somebody reads the books in one transaction for so long that their log
    can't be emptied.  `daemons` is how many share the books, as far as this one knows; `on_duty`,
    whether it does what only one of them may do.
    """

    version: str
    uptime_s: int
    links: tuple[LinkStatus, ...]
    queue_requests: int
    outbox_pending: int
    commit_ms: int
    clock_jumped: bool = False
    clock_jump_ms: int = 0
    started_ms: int = 0
    lacks: tuple[str, ...] = ()
    http: str = ""
    fastagi: str = ""
    broker: BrokerStatus | None = None
    waiting: Waiting = Waiting()
    books_bytes: int = 0
    disk_free_bytes: int = 0
    log_bytes: int = 0
    log_grows: bool = False
    daemons: int = 1
    on_duty: bool = True


class Latency(msgspec.Struct, frozen=True):
    """How long things took since the start: up to each bound, in seconds, how many; the last count
    is all of them.
    """

    bounds_s: tuple[float, ...]
    counts: tuple[int, ...]


class LinkPulse(msgspec.Struct, frozen=True):
    """What a link has done since the start."""

    name: str
    bound: bool
    pdus_in: int
    pdus_out: int
    outstanding: int
    throttled: int
    last_error: str = ""


class Pulse(msgspec.Struct, frozen=True):
    """Counts since the start and how things stand, cheap enough to be asked every second.

    Two of them make rates: `at_s` is seconds of the daemon's own, that never go back.
    `earned_vnd` is what the operator's revenue accounts hold, by service.
    """

    at_s: float
    version: str
    uptime_s: int
    lacks: tuple[str, ...]
    links: tuple[LinkPulse, ...]
    texts: int
    replies: int
    requests: int
    redelivered: int
    queue_requests: int
    outbox_texts: int
    calls_open: int
    sessions_open: int
    earned_vnd: dict[str, int]
    commit: Latency
    text: Latency
    http: Latency


# A backup that was written, synced and checked: its path, and its size in bytes.
BackupDone = tuple[Path, int]


class Operations(Protocol):
    """What people who run telcod ask of it (CLI-8)."""

    async def pulse(self) -> Pulse:
        """Counts and rates, as they are now."""
        ...

    def trace(
        self, link: str, *, seconds: int | None, pdus: int | None
    ) -> AsyncGenerator[TraceLine, None]:
        """What passes over a link from now on, passwords hidden (SMPP-8).

        Raises:
            Refused: There is no such link.
            Overloaded: As many traces as may be are open.
        """
        ...


class Backend(Protocol):
    """The daemon as the HTTP door sees it.  Everything is called on the loop's thread."""

    @property
    def metrics(self) -> Metrics:
        """The daemon's numbers."""
        ...

    @property
    def ops(self) -> Operations:
        """Its operations."""
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

    def post(self, request: Request, told: Callable[[Answer | TelcodError], None]) -> None:
        """As `submit`, for who does not wait.

        Args:
            request: What to carry out.
            told: Gets the answer, or what `submit` would raise; called once, perhaps before this
                returns.
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
