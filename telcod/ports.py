"""What the engine needs of a store, and the ways a store can fail.  Pure.

Locking is part of the port: between `begin` and `commit` nobody else writes, and what was loaded
stays true.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from telcod.rows import MoRow, OutboxSms, Row, Table
from telcod.tx import Changes

R = TypeVar("R", bound=Row)

DOUBT_S: Final = 600.0
"""For so long a text may be one that the SMSC sends again (SMPP-2)."""
BOOT_SHIFT: Final = 20
"""Above these bits of a connection's number stands the start of a daemon that it belongs to."""
AGAIN: Final = 1 << (BOOT_SHIFT - 1)
"""In a connection's number: none of an SMSC's, but the evidence of one text that came again."""
LEASE_S: Final = 3
"""For so long after it began to `tend` a daemon may send its texts."""


class Settled(NamedTuple):
    """What became of an outgoing text.

    Its number in the outbox, its new state, and by which link under which id; `more_ids` are those
    of its other parts.
    """

    seq: int
    state: int
    attempts: int
    done_at: int
    link: str
    message_id: str
    kind: str = ""
    mo: int = 0
    more_ids: tuple[str, ...] = ()


class Sent(NamedTuple):
    """A text of the outbox that was sent.

    How it stands, its kind, its cause in the journal, its link.
    """

    seq: int
    state: int
    attempts: int
    kind: str
    mo: int
    link: str


class Turn(NamedTuple):
    """What another writer left since this one wrote last.

    The next free `seq` of each log, the hash of the last row of each chained log, both by table
    index, and the time of the last commit, Unix milliseconds.
    """

    next_seqs: dict[int, int]
    heads: dict[int, bytes]
    commit_ms: int


class Twin(NamedTuple):
    """A text in the journal of another daemon with the octets of one that comes now (SMPP-2).

    `sure`: nobody can vouch that its answer was read, so this one is the same, sent again; else
    that shows in a moment.
    """

    row: MoRow
    sure: bool


class Tended(NamedTuple):
    """How a daemon stands among others on the same books.

    `duties`: the single ones that it holds.  `heir_of`: daemons that died and whose texts it may
    take over now, by the numbers of their starts.  `sure`: nobody thinks that this one died, so
    its texts are its own.  `epoch`: has grown when some may have been taken over meanwhile.
    `daemons`: how many live, this one among them.
    """

    duties: frozenset[str]
    heir_of: frozenset[int]
    sure: bool = True
    epoch: int = 0
    daemons: int = 1


class Store(Protocol):
    """The books on disk (or in memory), written by one thread.

    Every method may raise `StoreFailed` (stop: the disk can't be trusted), `StoreFull` (refuse new
    work), `StoreRefused` (a constraint said no: run the batch again one by one) or `StoreAgain`
    (run the whole batch again).  After any of them the transaction is over.
    """

    def begin(self) -> Turn | None:
        """Open the transaction that the next `commit` ends; nobody else can write until then.

        Returns:
            What has changed if somebody else wrote since the last `commit`; None if nobody did,
            as always where one daemon has the books for itself.

        Raises:
            StoreAway: The database can't be reached now; nothing was begun.
        """

    def load(self, table: Table[R], keys: Sequence[Any]) -> Iterable[R]:
        """The rows with these primary keys that exist."""

    def load_groups(self, table: Table[R], owners: Sequence[Any]) -> Iterable[R]:
        """All rows of these owners of a grouped table."""

    def apply(self, changes: Sequence[Changes], settled: Sequence[Settled]) -> None:
        """Write a batch: puts and deletes by key, appends, and what became of outgoing texts."""

    def commit(self) -> None:
        """Make it durable; when this returns, a power cut loses nothing of it.

        Raises:
            StoreAgain: Nothing of it was done, though the store is well: run the whole batch again.
        """

    def rollback(self) -> None:
        """Forget the open transaction."""

    def next_seqs(self) -> dict[int, int]:
        """The next free `seq` of each log table, by table index."""

    def heads(self) -> dict[int, bytes]:
        """The hash of the last row of each chained log, by table index."""

    def scan(self, table: Table[R], *, after: int = 0) -> Iterator[R]:
        """All committed rows in key order; of log tables those with `seq` above `after`."""

    def pending_sms(self, *, after: int, most: int) -> list[Any]:
        """Outgoing texts still to be sent, by number above `after`."""

    def sms_by_message_id(self, message_id: str) -> list[Sent]:
        """Texts sent over any link under this id that asked for a receipt (SMPP-4)."""

    def due_texts(self, *, now_ms: int, most: int) -> list[int]:
        """Receiver-paid texts that the clock must end, by number in the journal, the longest due
        first.
        """

    def due_calls(self, *, now_ms: int, most: int) -> list[str]:
        """Ids of calls that supervision must look at, the longest due first."""

    def due_payments(self, *, now_ms: int, most: int) -> list[str]:
        """Ids of payments whose `next_at` has come, the longest due first."""

    def due_subscriptions(self, *, now_ms: int, most: int) -> list[tuple[int, int]]:
        """(msisdn, period) of subscriptions whose `next_at` has come, the longest due first."""

    def pending_pushes(self, *, after: int, most: int) -> list[Any]:
        """USSD pushes that no gateway has taken yet, by number above `after`."""

    def pending_mails(self, *, now_ms: int, most: int) -> list[Any]:
        """E-mails whose moment to be tried has come, the longest due first."""

    def prune(self, *, before_ms: int, parts_before_ms: int, most: int) -> int:
        """Inside a transaction: remove old texts, long done, and parts that waited in vain;
        pushes that are done, events that were told, dialogues that are over; how many rows went.

        Of a log, the oldest `most` rows are looked at.  Its newest row always stays: the next
        number is told by it, and no number is ever given twice.
        """

    def twins(
        self, fingerprints: Sequence[bytes], *, boot: int, since_ms: int
    ) -> Mapping[bytes, Sequence[Twin]]:
        """Inside a transaction: texts since then, by links of other starts than `boot`, whose
        answers are not known to have been read; oldest first.  Nothing where there are no others.
        """

    def tend(self, boot: int, duties: Collection[str]) -> Tended:
        """Between two batches, about once a second: show that this daemon lives, and take on what
        nobody else does.

        What is held is lost with the connection to the store, or with the daemon: then another one
        has it at its next `tend`.
        """

    def inherit(self, owner: int, boot: int, *, now_ms: int, most: int) -> list[OutboxSms]:
        """Inside a transaction: make texts of a daemon that died, and that were not sent, those of
        `boot`; the oldest of them, as they are now.

        None when it lives after all.  When all of them are taken, its connections count as ended.
        """

    def hold_reserve(self) -> bool:
        """Set aside room for what must be ended on a full disk (F5), if it isn't; whether it is
        now.  Where nothing is ever set aside, it is.
        """
        ...

    def let_go_of_reserve(self) -> bool:
        """Use that room from now on; whether there was any."""
        ...

    def close(self) -> None:
        """Let go of the file."""
