"""What PostgreSQL's errors mean for the books: a table of SQLSTATEs, and nothing else.  No I/O.

The driver's exceptions end here (STYLE 19): a store raises `StoreRefused`, `StoreFull`,
`StoreAgain`, `StoreAway` or `StoreFailed`, and those who only read `Unavailable`.
"""

import struct
from typing import Final

import psycopg

from telcod.errors import StoreAgain, StoreAway, StoreFailed, StoreFull, StoreRefused, TelcodError

NOT_HAD: Final = "55P03"
"""A lock was waited for as long as it may be."""
# By whole state first, then by class (its first two characters).
_MEANS: Final[dict[str, type[TelcodError]]] = {
    "22": StoreRefused,  # data exception: a NUL in a text, a number out of range
    "23": StoreRefused,  # a constraint, a trigger of ours
    "54": StoreRefused,  # program limit exceeded: a key too long for its index
    "40": StoreAgain,  # serialization failure, deadlock
    "53100": StoreFull,  # disk full
    "53": StoreAway,  # out of connections, out of memory
    NOT_HAD: StoreAway,  # lock_timeout: somebody has had the turn for too long
    "57014": StoreAgain,  # a person or a timeout cancelled the statement
    "57": StoreAway,  # the server stops, or starts
    "08": StoreAway,  # connection exception
    "25P03": StoreAgain,  # idle_in_transaction_session_timeout: the batch took too long
    "25006": StoreAway,  # read-only: this server is a standby now
    "28": StoreAway,  # may be set up again; telcod need not be
    "3D": StoreAway,  # no such database: a server that is just being restored
}
# What the packing of a column says of a value that the column can't hold.
UNFIT: Final = (struct.error, UnicodeEncodeError, TypeError, AttributeError)


def lost(error: psycopg.Error) -> bool:
    """Whether the connection is gone, and with it the open transaction.

    A server that is shut down says so (57P01…57P03), or says nothing at all.
    """
    state = error.sqlstate
    if state is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return state.startswith("08") or state in {"57P01", "57P02", "57P03", "57P05", "25P03", "25006"}


def renamed(error: psycopg.Error) -> TelcodError:
    """What an error means for who writes; unknown ones mean that the books can't be trusted."""
    state = error.sqlstate
    kind: type[TelcodError] = StoreFailed
    if state is not None:
        kind = _MEANS.get(state) or _MEANS.get(state[:2]) or StoreFailed
    elif isinstance(error, psycopg.DataError):  # the driver's own, before anything was sent
        kind = StoreRefused
    elif lost(error):
        kind = StoreAway
    return kind(sentence(error))


def sentence(error: BaseException) -> str:
    """The first line of what was said; a password is never in it."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
