"""Is this text a new one, or one that the SMSC sends again?  (DESIGN 4; SMPP-2.)  Pure.

SMPP gives a received text no id.  What decides is evidence: an identical message is a redelivery if
the answer to the first one was not written to a connection that then stayed up for `STABLE_S`,
within `DOUBT_S`.  An honest repeat on a healthy link is a new message.

Each message is a `Record`, in one of three situations:

- *pending*: its effect is not committed yet;
- *answered*: the response was written; after `STABLE_S` on a connection that stays up it's
  confirmed and forgotten;
- *in doubt*: its connection went down before that.  An identical message takes the record over: it
  gets the stored verdict.

A message that is pending for `PENDING_DOUBT_S` and comes again is a redelivery too, though its
connection is up: the SMSC's own response timer ran out before our commit.  It may have run out just
before our response came: the copy that meets it on the way is one as well, within `STABLE_S`.

Records in doubt are matched one for one: two identical texts that were both lost on the way back
are two redeliveries. What is in doubt when the daemon dies is read back from the journal (`doubt`),
by the watermarks that `confirmed` gives.
"""

from collections import deque
from typing import Any, Final, NamedTuple

import msgspec

from telcod.ports import DOUBT_S

STABLE_S: Final = 5.0
PENDING_DOUBT_S: Final = 5.0
RECORDS_MAX: Final = 200_000


class Record(msgspec.Struct, gc=False, eq=False):
    """One received message: where it came in, since when, and its number in the journal once
    committed (0: not yet).

    `followers` are redeliveries that came while it was pending; they are answered with it.  `slow`:
    it was pending so long that a copy may be on its way.  `evidence`: the number that it has in the
    journal since it came again to this daemon from another one (0: it did not).  `listed`: an
    identical message is compared with it.
    """

    fingerprint: bytes
    connection: int
    at_s: float
    seq: int = 0
    answered: bool = False
    lost: bool = False
    slow: bool = False
    followers: tuple[Any, ...] = ()
    evidence: int = 0
    listed: bool = True


class Shown(NamedTuple):
    """What became of a text with `evidence`: its answer was read, or that is in doubt."""

    evidence: int
    seq: int
    read: bool


class Redelivery:
    """The messages of the last moments, by fingerprint.

    Times are monotonic seconds, given by the caller.
    """

    def __init__(self) -> None:
        # Not what was answered in time, until its connection goes down: one sender who repeats one
        # text a thousand times a second would have each compared with those of the last seconds.
        self._by_fingerprint: dict[bytes, list[Record]] = {}
        self._answered: dict[int, deque[Record]] = {}
        self._in_doubt: deque[Record] = deque()
        self._up: set[int] = set()
        self._shown: list[Shown] = []

    def __len__(self) -> int:
        listed = sum(len(records) for records in self._by_fingerprint.values())
        return listed + sum(not r.listed for records in self._answered.values() for r in records)

    def connection_up(self, connection: int) -> None:
        """A connection was bound."""
        self._up.add(connection)

    def connection_down(self, connection: int, *, now: float) -> None:
        """A connection is gone: whatever was not confirmed on it is in doubt from now on."""
        self._up.discard(connection)
        for record in self._answered.pop(connection, ()):
            if not record.listed:
                record.listed = True
                self._by_fingerprint.setdefault(record.fingerprint, []).append(record)
        for records in list(self._by_fingerprint.values()):
            for record in records:
                if record.connection == connection and not record.lost:
                    self._lose(record, now)

    def unbound(self, connection: int) -> int:
        """Our unbind was answered: every response written before it was read, so none is in doubt.

        Returns:
            The number in the journal up to which all of the connection is confirmed; 0: none.
        """
        records = self._answered.pop(connection, deque())
        for record in records:
            self._show(record, read=True)
            self._forget(record)
        return max((record.seq for record in records if not record.evidence), default=0)

    def take(self, fingerprint: bytes, connection: int, *, now: float) -> tuple[Record, bool]:
        """Say what an incoming message is.

        Returns:
            The message's record, and whether it's a redelivery.  A redelivery whose record has a
            `seq` is answered at once with the stored verdict; without one its first copy is still
            being carried out: it's answered when that is.
        """
        for record in self._by_fingerprint.get(fingerprint, ()):
            age_s = now - record.at_s
            pending_long = not record.seq and not record.lost and age_s >= PENDING_DOUBT_S
            crossed = record.slow and record.answered and age_s < STABLE_S
            if pending_long or crossed or (record.lost and age_s < DOUBT_S):
                record.connection, record.at_s, record.lost = connection, now, False
                record.slow = False
                return record, True
        record = Record(fingerprint, connection, now)
        self._by_fingerprint.setdefault(fingerprint, []).append(record)
        return record, False

    def answered(self, record: Record, *, written: bool, now: float) -> None:
        """The response of a committed message was written, or could not be: then it's in doubt."""
        if not record.answered and not record.lost:
            record.slow = now - record.at_s >= PENDING_DOUBT_S
        if written and record.connection in self._up:
            record.at_s = now
            # A follower's answer may have been written where the first copy's could not be.
            record.answered, record.lost = True, False
            self._answered.setdefault(record.connection, deque()).append(record)
            if not record.slow:
                self._forget(record)
        elif not record.lost:
            self._lose(record, now)

    def refused(self, record: Record) -> None:
        """The message had no effect: the same one again is as good as new."""
        self._forget(record)

    def doubt(self, fingerprint: bytes, seq: int, *, age_s: float, now: float) -> None:
        """Take over a message from the journal whose response nobody can vouch for (after a
        restart).
        """
        record = Record(fingerprint, 0, now - max(0.0, age_s), seq=seq, lost=True)
        self._by_fingerprint.setdefault(fingerprint, []).append(record)
        self._in_doubt.append(record)

    def confirmed(self, *, now: float) -> dict[int, int]:
        """Forget what is safe, and what was in doubt too long.

        Returns:
            By connection, the number in the journal up to which everything is confirmed, where it
            moved.
        """
        moved = {}
        for connection, waiting in self._answered.items():
            highest = 0
            while waiting and now - waiting[0].at_s >= STABLE_S:
                record = waiting.popleft()
                if record.evidence:
                    self._show(record, read=True)
                else:
                    highest = max(highest, record.seq)
                self._forget(record)
            if highest:
                moved[connection] = highest
        in_doubt = self._in_doubt
        while in_doubt:
            record = in_doubt[0]
            old = now - record.at_s >= DOUBT_S
            # One that was taken over meanwhile, and perhaps lost again, stands here more than once.
            if record.lost and not old and len(in_doubt) <= RECORDS_MAX:
                break
            in_doubt.popleft()
            if record.lost and (old or len(in_doubt) >= RECORDS_MAX):
                self._forget(record)
        return moved

    def shown(self) -> list[Shown]:
        """What became of texts that came again from another daemon, since this was asked last."""
        found, self._shown = self._shown, []
        return found

    def _show(self, record: Record, *, read: bool) -> None:
        if record.evidence:
            self._shown.append(Shown(record.evidence, record.seq, read))

    def _lose(self, record: Record, now: float) -> None:
        record.at_s, record.lost, record.answered = now, True, False
        self._show(record, read=False)
        self._in_doubt.append(record)

    def _forget(self, record: Record) -> None:
        if not record.listed:
            return
        record.listed = False
        records = self._by_fingerprint[record.fingerprint]
        records.remove(record)
        if not records:
            del self._by_fingerprint[record.fingerprint]
