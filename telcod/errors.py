"""What can go wrong, what to do then, and the one table of how each caller is told.  Pure.

Three kinds of "no" (docs/architecture.md): a refusal that the rules foresee is a value, here a
`Refusal` where a program asked; something that went wrong is a `TelcodError`, whose class says
what next; a broken invariant is `LedgerCorrupt`, and the process stops.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar, Final, NamedTuple

ESME_ROK: Final = 0x00
ESME_RX_T_APPN: Final = 0x64  # temporary: the SMSC keeps the message and tries again
ESME_RX_P_APPN: Final = 0x65  # permanent: the SMSC gives the message up

EXIT_FINE: Final = 0
EXIT_NOT_FINE: Final = 1
EXIT_WRONG_USE: Final = 2
EXIT_NOT_STARTED: Final = 3


class TelcodError(Exception):
    """Something went wrong.  The message is one sentence; `what_to_do` is the next one."""

    next_step: ClassVar[str] = "See the log for what came before."

    def __init__(self, message: str, *, what_to_do: str = "") -> None:
        super().__init__(message)
        self.what_to_do: Final = what_to_do or self.next_step

    def sentence(self) -> str:
        """What went wrong and what to do, as the command line says it."""
        message = str(self)
        stop = "" if message.endswith((".", "!", "?")) else "."
        return f"{message}{stop} {self.what_to_do}"


class Overloaded(TelcodError):
    """More waits than may wait.  Nothing was done: the same request may be sent again later."""

    next_step = "Try again in a moment; nothing was done."


class Unavailable(TelcodError):
    """The daemon is stopping, or its writer is gone.  Nothing was done; it may come back."""

    next_step = "Try again when telcod runs; nothing was done."


class NotStarted(TelcodError):
    """The daemon cannot start as it is set up.  Nothing was begun."""

    next_step = "Mend that and start telcod again."


class StoreFailed(TelcodError):
    """The store no longer keeps its promise (a failed fsync, a broken file): stop and exit.

    What was not answered is sent again by its peers.  Never retry the write: the kernel may have
    dropped what it could not write and say that all is well.
    """

    next_step = "Look at the disk, then start telcod again: it goes on from the last commit."


class StoreFull(TelcodError):
    """The disk is full.  The batch was undone; new work is refused until there is room."""

    next_step = "Free some room on the disk; telcod goes on by itself."


class StoreAway(StoreFull):
    """The database can't be reached.  Nothing was begun; new work is refused until it is back."""

    next_step = "See that the database runs and can be reached; telcod goes on by itself."


class StoreAgain(TelcodError):
    """The store undid a batch for no fault of it (serialization, deadlock, a lost connection).

    Run the whole batch again.
    """

    next_step = "telcod runs the batch again by itself."


class StoreLocked(NotStarted):
    """Another process serves this database.  Nothing was read or written."""

    next_step = "Stop the other telcod first, or give this one a database of its own."


class StoreRefused(TelcodError):
    """The store refused a batch for what is in it; undone.  Run its requests one by one."""

    next_step = "The request was set aside for a person; see the quarantine."


class KeyReused(TelcodError):
    """The key of a request was used for another one.  Nothing was done, now or by a repeat."""

    next_step = "Use a new key for a new request, and the same body for the same key."


class LedgerCorrupt(Exception):
    """An invariant of the books is broken.  The process stops; a person looks.

    Not a `TelcodError`, so that nothing that handles those handles this by accident.
    """

    what_to_do: Final = "Run `telcod db check`, and restore a backup if it finds more."


class Refusal(StrEnum):
    """Why a program's request is refused, by the rules of its interface.  Checked in this order."""

    TOO_LARGE = "too_large"
    NOT_AUTHENTICATED = "not_authenticated"
    NOT_PERMITTED = "not_permitted"
    TOO_OFTEN = "too_often"
    MALFORMED = "malformed"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"


class Fate(NamedTuple):
    """How callers are told.

    `smpp_status` answers a deliver_sm or data_sm; `exit_code` ends a command; `retry_after_s`, in
    seconds, is told to HTTP callers, and is 0 where trying again does not help.
    """

    smpp_status: int
    http_status: int
    exit_code: int
    retry_after_s: int = 0


# A text that the rules refuse was understood and answered by a text: ESME_ROK.
FATES: Final[Mapping[type[Exception] | Refusal, Fate]] = MappingProxyType(
    {
        Overloaded: Fate(ESME_RX_T_APPN, 503, EXIT_NOT_FINE, retry_after_s=1),
        Unavailable: Fate(ESME_RX_T_APPN, 503, EXIT_NOT_FINE, retry_after_s=5),
        NotStarted: Fate(ESME_RX_T_APPN, 503, EXIT_NOT_STARTED, retry_after_s=30),
        StoreFull: Fate(ESME_RX_T_APPN, 503, EXIT_NOT_FINE, retry_after_s=30),
        StoreAway: Fate(ESME_RX_T_APPN, 503, EXIT_NOT_FINE, retry_after_s=5),
        StoreAgain: Fate(ESME_RX_T_APPN, 503, EXIT_NOT_FINE, retry_after_s=1),
        StoreFailed: Fate(ESME_RX_T_APPN, 503, EXIT_NOT_STARTED, retry_after_s=30),
        StoreLocked: Fate(ESME_RX_T_APPN, 503, EXIT_NOT_STARTED, retry_after_s=30),
        StoreRefused: Fate(ESME_RX_T_APPN, 500, EXIT_NOT_FINE),
        KeyReused: Fate(ESME_RX_P_APPN, 409, EXIT_NOT_FINE),
        TelcodError: Fate(ESME_RX_T_APPN, 500, EXIT_NOT_FINE),
        LedgerCorrupt: Fate(ESME_RX_T_APPN, 503, EXIT_NOT_FINE),
        # Anything that nobody foresaw: the SMSC keeps the text, and nobody sees a stack trace.
        Exception: Fate(ESME_RX_T_APPN, 500, EXIT_NOT_FINE),
        Refusal.TOO_LARGE: Fate(ESME_ROK, 413, EXIT_WRONG_USE),
        Refusal.NOT_AUTHENTICATED: Fate(ESME_ROK, 401, EXIT_WRONG_USE),
        Refusal.NOT_PERMITTED: Fate(ESME_ROK, 403, EXIT_WRONG_USE),
        Refusal.TOO_OFTEN: Fate(ESME_ROK, 429, EXIT_NOT_FINE, retry_after_s=60),
        Refusal.MALFORMED: Fate(ESME_ROK, 400, EXIT_WRONG_USE),
        Refusal.NOT_FOUND: Fate(ESME_ROK, 404, EXIT_NOT_FINE),
        Refusal.CONFLICT: Fate(ESME_ROK, 409, EXIT_NOT_FINE),
    }
)


def fate_of(what: Exception | Refusal) -> Fate:
    """The row of `FATES` for a refusal, or for the nearest class of an exception."""
    if isinstance(what, Refusal):
        return FATES[what]
    return next(FATES[kind] for kind in type(what).__mro__ if kind in FATES)
