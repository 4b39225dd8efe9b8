"""What daemons on one PostgreSQL know of one another: who lives, and who does what only one may do.

All of it is locks of the writer's connection (`pg_advisory_lock`): the server lets them go when the
connection ends.  A daemon that was killed has lost them at once; of one that hangs, or whose
machine has vanished, the others end the connection when nothing has come on it for some seconds.
No clock is compared, and nothing is written before texts are taken over.

- *present*, by the number of a daemon's start: it lives;
- *duty*, by name: it does what only one may do;
- *heir*, by the number of a daemon that seems to be dead: a warning that its texts will be taken
  over, `ABSENT_S` from now.

A daemon that lives and is warned does not send until the warning is gone; one that can't ask does
not send either, `LEASE_S` after it asked last.  Because that is less than `ABSENT_S`, no two
daemons ever send the same text.  Whose a text is stands in its row (`outbox_sms.owner`).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final
from zlib import crc32

import structlog

from telcod.clock import Clock
from telcod.ports import BOOT_SHIFT, LEASE_S, Tended, Twin
from telcod.rows import MO, OUTBOX_SMS, MoRow, OutboxSms
from telcod.storage.postgres_link import Db
from telcod.storage.postgres_schema import Locks

ABSENT_S: Final = LEASE_S + 1
"""How long a daemon must have been warned before its texts are taken over."""
NOBODY: Final = 0
"""Owns the texts that came with a copied file, or from the command line."""
NOBODYS_EVERY_S: Final = 60
ADVISORY_ONE: Final = 1  # `objsubid` of a lock by one number,
ADVISORY_PAIR: Final = 2  # and by two.

_log = structlog.stdlib.get_logger(__name__)

_TRY: Final = "SELECT pg_try_advisory_lock($1, $2)"
_LET_GO: Final = "SELECT pg_advisory_unlock($1, $2)"
_OURS: Final = f"""
    locktype = 'advisory' AND objsubid = {ADVISORY_PAIR} AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_ABSENT: Final = f"""
    NOT EXISTS (
        SELECT 1 FROM pg_locks
        WHERE {_OURS} AND classid = CAST($1 AS oid) AND objid = CAST(%s AS oid)
    )
"""
_IS_ABSENT: Final = f"SELECT {_ABSENT % '$2'}"
_PRESENT: Final = f"""
    SELECT CAST(objid AS INT8) FROM pg_locks WHERE {_OURS} AND classid = CAST($1 AS oid)
"""
_WARNED: Final = f"""
    SELECT EXISTS (
        SELECT 1 FROM pg_locks
        WHERE {_OURS} AND classid = CAST($1 AS oid) AND objid = CAST($2 AS oid)
          AND pid <> pg_backend_pid()
    )
"""
# Whoever has started and whose end nobody has seen to yet.
_BEGUN: Final = "SELECT DISTINCT id >> $1 FROM smsc_connection WHERE down_at = 0"
_NOBODYS: Final = "SELECT EXISTS (SELECT 1 FROM outbox_sms WHERE state = 0 AND owner = $1)"
_INHERIT: Final = f"""
    WITH taken AS (
        UPDATE outbox_sms SET owner = $2
        WHERE seq IN (
            SELECT seq FROM outbox_sms WHERE state = 0 AND owner = $1 ORDER BY seq LIMIT $3
        )
        RETURNING {", ".join(OUTBOX_SMS.columns)}
    )
    SELECT * FROM taken ORDER BY seq
"""
_END: Final = "UPDATE smsc_connection SET down_at = $3 WHERE id >> $2 = $1 AND down_at = 0"
# Who has the turn, or is present, and whose server process waits for what it says next.  In the
# middle of a pipeline, and after it, the server's own timeouts for idle clients do not count.
_HANGS: Final = f"""
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE pid IN (
        SELECT pid FROM pg_locks
        WHERE locktype = 'advisory' AND granted AND mode = 'ExclusiveLock'
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND CASE objsubid
              WHEN {ADVISORY_ONE} THEN (CAST(classid AS INT8) << 32) | CAST(objid AS INT8) = $1
              ELSE CAST(classid AS INT8) = $2 END
    )
    AND wait_event = 'ClientRead' AND pid <> pg_backend_pid()
    AND clock_timestamp() - state_change > make_interval(secs => $3)
"""
_TWINS: Final = f"""
    SELECT {", ".join(f"mo.{name}" for name in MO.columns)},
        (at_smsc.down_at > 0 OR {_ABSENT % "(at_smsc.id >> $3)"}) AS sure
    FROM mo JOIN smsc_connection AS at_smsc ON at_smsc.id = mo.connection
    WHERE mo.fingerprint = ANY($2) AND mo.at >= $4 AND mo.seq > at_smsc.confirmed_seq
      AND (mo.connection >> $3) <> $5
    ORDER BY mo.seq
"""


class Duties:
    """The locks of one daemon on one connection.

    Args:
        schema: Whose books: several may share a server.
        clock: For how long another one has been warned.
    """

    def __init__(self, schema: str, clock: Clock) -> None:
        self._present: Final = _class("present", schema)
        self._duty: Final = _class("duty", schema)
        self._heir: Final = _class("heir", schema)
        self._clock: Final = clock
        self._boot = 0
        self._is_present = False
        self._shaken = False  # Whether others may have taken us for dead.
        self._epoch = 0
        self._held: set[str] = set()
        self._warned: dict[int, float] = {}  # By daemon: since when we have warned it.
        self._nobodys: frozenset[int] = frozenset()
        self._look_at_s = 0.0

    def connected(self, db: Db) -> None:
        """On a new connection: nothing is held any more; be present at once.

        Raises:
            psycopg.Error: The connection is lost again.
        """
        self._is_present = False
        self._shaken = self._boot > 0
        self._held.clear()
        self._warned.clear()
        if self._boot:
            self._appear(db)

    def tend(self, db: Db, boot: int, duties: Collection[str]) -> Tended:
        """See `Store.tend`.

        Raises:
            psycopg.Error: The connection is lost.
        """
        self._boot = boot
        if not self._is_present:
            self._appear(db)
        for duty in sorted(set(duties) - self._held):
            if _try(db, self._duty, _number(duty)):
                self._held.add(duty)
        # In this order: who is present here is not taken over by whom it is not warned by.
        present = {row[0] for row in db.execute(_PRESENT, (self._present,), binary=True)}
        sure = self._is_present and not _is(db, _WARNED, self._heir, boot)
        if not sure:
            self._shaken = True
        elif self._shaken:
            self._shaken, self._epoch = False, self._epoch + 1
        self._warn(db, present | {boot})
        return Tended(
            frozenset(self._held & set(duties)),
            frozenset(owner for owner in self._warned if self._is_heir_of(owner)),
            sure,
            self._epoch,
            len(present | {boot}),
        )

    def inherit(self, db: Db, owner: int, boot: int, *, now_ms: int, most: int) -> list[OutboxSms]:
        """See `Store.inherit`.

        Raises:
            psycopg.Error: The connection is lost.
        """
        if not self._is_heir_of(owner) or not _is(db, _IS_ABSENT, self._present, owner):
            return []
        found = db.execute(_INHERIT, (owner, boot, most), binary=True).fetchall()
        if len(found) < most:
            db.execute(_END, (owner, BOOT_SHIFT, now_ms))
        return [OutboxSms(*row) for row in found]

    def twins(
        self, db: Db, fingerprints: Sequence[bytes], *, boot: int, since_ms: int
    ) -> Mapping[bytes, Sequence[Twin]]:
        """See `Store.twins`.

        Raises:
            psycopg.Error: The connection is lost.
        """
        values = (self._present, list(fingerprints), BOOT_SHIFT, since_ms, boot)
        found: dict[bytes, list[Twin]] = {}
        for *columns, sure in db.execute(_TWINS, values, binary=True):
            row = MoRow(*columns)
            found.setdefault(row.fingerprint, []).append(Twin(row, sure))
        return found

    def _appear(self, db: Db) -> None:
        # Not had: our own connection of before is not over yet for the server, and shows that we
        # live; asked again at the next `tend`.
        self._is_present = _try(db, self._present, self._boot)

    def _warn(self, db: Db, present: Collection[int]) -> None:
        """Warn who seems to be dead; whoever lives, or has nothing to leave, is warned no more."""
        begun = {row[0] for row in db.execute(_BEGUN, (BOOT_SHIFT,), binary=True)}
        begun |= self._nobodys_texts(db)
        for owner in self._warned.keys() - (begun - set(present)):
            db.execute(_LET_GO, (self._heir, owner))
            del self._warned[owner]
        for owner in sorted(begun - set(present) - self._warned.keys()):
            if _try(db, self._heir, owner):
                self._warned[owner] = self._clock.monotonic_s()

    def _nobodys_texts(self, db: Db) -> frozenset[int]:
        # They are rare, and to find none takes a look at all that waits.
        now_s = self._clock.monotonic_s()
        if now_s >= self._look_at_s or self._nobodys:
            self._look_at_s = now_s + NOBODYS_EVERY_S
            self._nobodys = frozenset({NOBODY} if _is(db, _NOBODYS, NOBODY) else ())
        return self._nobodys

    def _is_heir_of(self, owner: int) -> bool:
        since_s = self._warned.get(owner)
        return since_s is not None and self._clock.monotonic_s() - since_s >= ABSENT_S


def end_who_hangs(db: Db, locks: Locks, silent_s: int) -> None:
    """End the connections of daemons that have said nothing for `silent_s`: each speaks to the
    server once a second.

    Raises:
        psycopg.Error: The connection is lost.
    """
    present = _class("present", locks.schema)
    for _ in db.execute(_HANGS, (locks.turn, present, silent_s), binary=True):
        _log.warning("daemon.ended")


def _try(db: Db, kind: int, number: int) -> bool:
    return _is(db, _TRY, kind, number)


def _is(db: Db, question: str, *values: int) -> bool:
    row: Any = db.execute(question, values, binary=True).fetchone()
    return bool(row[0])


def _class(what: str, schema: str) -> int:
    return _number(f"telcod {what} {schema}")


def _number(name: str) -> int:
    """A number of 31 bits: the locks' are signed, the view of them is not."""
    return crc32(name.encode()) & 0x7FFFFFFF
