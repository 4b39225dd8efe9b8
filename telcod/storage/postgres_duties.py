"""What daemons on one PostgreSQL know of one another: who lives, and who does what only one may do.

All of it is locks of the writer's connection (`pg_advisory_lock`): the server lets them go when the
connection ends, so a daemon that was killed has lost them at once, and one whose machine vanished
when the server's keepalives say so.  Nothing is written, no clock is compared.

- *present*, by the number of a daemon's start: it lives;
- *duty*, by name: it does what only one may do;
- *heir*, by the number of a daemon that died: it sends the texts that one has left.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final
from zlib import crc32

from telcod.ports import Tended, Twin
from telcod.rows import MO, MoRow
from telcod.storage.postgres_link import Db

ADVISORY_PAIR: Final = 2  # `objsubid` of a lock by two numbers.

_TRY: Final = "SELECT pg_try_advisory_lock($1, $2)"
_ABSENT: Final = f"""
    NOT EXISTS (
        SELECT 1 FROM pg_locks AS present
        WHERE present.locktype = 'advisory' AND present.objsubid = {ADVISORY_PAIR}
          AND present.database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND present.classid = CAST($1 AS oid) AND present.objid = CAST(%s AS oid)
          AND present.granted
    )
"""
_ORPHANED: Final = f"""
    SELECT left_by.owner
    FROM (SELECT DISTINCT owner FROM outbox_sms WHERE state = 0) AS left_by
    WHERE left_by.owner <> $2 AND {_ABSENT % "left_by.owner"}
"""
_TWINS: Final = f"""
    SELECT {", ".join(f"mo.{name}" for name in MO.columns)},
        (at_smsc.down_at > 0 OR {_ABSENT % "(at_smsc.id >> $3)"}) AS sure
    FROM mo JOIN smsc_connection AS at_smsc ON at_smsc.id = mo.connection
    WHERE mo.fingerprint = ANY($2) AND mo.at >= $4 AND mo.seq > at_smsc.confirmed_seq
      AND (mo.connection >> $3) <> $5
    ORDER BY mo.seq
"""
BOOT_SHIFT: Final = 20
"""Above these bits of a connection's number stands the start that it belongs to."""


class Duties:
    """The locks of one daemon on one connection.

    Args:
        schema: Whose books: several may share a server.
    """

    def __init__(self, schema: str) -> None:
        self._present: Final = _class("present", schema)
        self._duty: Final = _class("duty", schema)
        self._heir: Final = _class("heir", schema)
        self._boot = 0
        self._is_present = False
        self._held: set[str] = set()
        self._heir_of: set[int] = set()

    def connected(self, db: Db) -> None:
        """On a new connection: nothing is held any more; be present at once.

        Raises:
            psycopg.Error: The connection is lost again.
        """
        self._is_present = False
        self._held.clear()
        self._heir_of.clear()
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
        orphaned = db.execute(_ORPHANED, (self._present, boot), binary=True).fetchall()
        for (owner,) in orphaned:
            if owner not in self._heir_of and _try(db, self._heir, owner):
                self._heir_of.add(owner)
        return Tended(frozenset(self._held & set(duties)), frozenset(self._heir_of))

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


def _try(db: Db, kind: int, number: int) -> bool:
    row: Any = db.execute(_TRY, (kind, number), binary=True).fetchone()
    return bool(row[0])


def _class(what: str, schema: str) -> int:
    return _number(f"telcod {what} {schema}")


def _number(name: str) -> int:
    """A number of 31 bits: the locks' are signed, the view of them is not."""
    return crc32(name.encode()) & 0x7FFFFFFF
