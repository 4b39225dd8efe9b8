"""The books in memory: the same behaviour as the SQLite store, for tests and models.  It forgets
everything.

It checks what the database's constraints check, so that a batch that SQLite would refuse is refused
here as well.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from telcod.billing.ledger import FIRST_HASH
from telcod.errors import StoreRefused
from telcod.ports import Sent, Settled, Tended, Twin
from telcod.rows import (
    ACCOUNT,
    AUDIT,
    CALL,
    CENTRE,
    CLEARING,
    ENTRY,
    EVENTS_PUBLISHED,
    GATEWAY_FILE,
    GATEWAY_LINE,
    HELD_TEXT,
    HOLD,
    INVOICE,
    LIMIT_COUNTER,
    LIST_ENTRY,
    LOGIN_CODE,
    LOGS,
    META,
    MO,
    MO_PART,
    OUTBOX_EVENT,
    OUTBOX_MAIL,
    OUTBOX_PUSH,
    OUTBOX_SMS,
    PAYMENT,
    PERIOD,
    SELF_SESSION,
    SETTLEMENT,
    SMSC_CONNECTION,
    SUBSCRIBER,
    SUBSCRIPTION,
    TABLES,
    USSD_SESSION,
    Kind,
    ListKind,
    OutboxMail,
    OutboxPush,
    OutboxSms,
    PackageStatus,
    PaymentState,
    Row,
    State,
    Table,
)
from telcod.tx import Changes
from telcod.types import Language

R = TypeVar("R", bound=Row)
APPEND_ONLY: Final = (ENTRY, AUDIT, PERIOD, CLEARING)
VERDICTS: Final = frozenset({"matched", "missing_here", "missing_there", "amount", "doubled"})
# What the CHECKs of the migrations say, table by table.
CHECKS: Final[Mapping[Table[Any], Callable[[Any], bool]]] = {
    SUBSCRIBER: lambda row: (
        84_000_000_000 <= row.msisdn <= 84_999_999_999
        and row.kind in set(Kind)
        and row.state in set(State)
        and row.language in set(Language)
        and 1 <= row.centre <= 6
        and {row.notices, row.trial_used} <= {0, 1}
        and row.life >= 1
    ),
    ACCOUNT: lambda row: (
        row.held >= 0 and (row.floor is None or row.posted - row.held >= row.floor)
    ),
    ENTRY: lambda row: row.amount > 0 and row.debit != row.credit,
    HOLD: lambda row: (
        row.amount > 0
        and row.status in {"open", "posted", "released", "expired"}
        and 0 <= row.posted <= row.amount
    ),
    SUBSCRIPTION: lambda row: (
        row.status in set(PackageStatus)
        and row.trial in {0, 1}
        and row.period_no >= 1
        and row.ends_at > row.started_at
    ),
    PERIOD: lambda row: (
        row.kind in {"trial", "paid", "missed"}
        and row.ends_at > row.starts_at
        and (row.kind == "paid") == (row.entry > 0)
    ),
    LIST_ENTRY: lambda row: row.owner != row.number and row.kind in set(ListKind),
    LOGIN_CODE: lambda row: 0 <= row.tries <= 5,
    SELF_SESSION: lambda row: row.channel in {"web", "app"} and row.acts >= 0,
    USSD_SESSION: lambda row: row.step >= 0 and row.ended in {0, 1},
    OUTBOX_PUSH: lambda row: row.asks in {0, 1} and row.state in {0, 1, 2, 3},
    PAYMENT: lambda row: (
        1 <= row.centre <= 6
        and row.purpose in {"bill", "topup"}
        and row.card in {"international", "domestic"}
        and 50_000 <= row.amount_vnd <= 10_000_000
        and row.state in set(PaymentState)
        and {row.invoice, row.slot, row.alarmed} <= {0, 1}
        and row.voiding in {0, 1, 2}
        and (row.state in {"cleared", "cancelled"}) == (row.cleared > 0)
    ),
    LIMIT_COUNTER: lambda row: (
        0 <= row.payments <= 5 and 0 <= row.bills_vnd <= 10_000_000 and row.topups_vnd >= 0
    ),
    CLEARING: lambda row: (
        row.operator == f"C{row.centre}_ePayment"
        and row.kind in {"cleared", "cancelled"}
        and row.amount_vnd > 0
    ),
    CENTRE: lambda row: 1 <= row.centre <= 6 and row.clearing_open in {0, 1},
    INVOICE: lambda row: 1 <= row.centre <= 6 and row.amount_vnd > 0,
    GATEWAY_LINE: lambda row: row.verdict in VERDICTS,
    SETTLEMENT: lambda row: row.kind in {"advance", "final"} and row.amount_vnd > 0,
    OUTBOX_MAIL: lambda row: row.state in {0, 1, 2, 3},
}


class MemoryStore:
    """The port `Store` on dictionaries."""

    def __init__(self) -> None:
        self._tables: list[dict[Any, Any]] = [{} for _ in TABLES]
        self._before: list[dict[Any, Any]] | None = None

    def hold_reserve(self) -> bool:
        """See `Store.hold_reserve`: nothing is set aside."""
        return True

    def let_go_of_reserve(self) -> bool:
        """See `Store.let_go_of_reserve`."""
        return False

    def begin(self) -> None:
        """See `Store.begin`."""
        self._before = None

    def commit(self) -> None:
        """See `Store.commit`."""
        self._before = None

    def rollback(self) -> None:
        """See `Store.rollback`."""
        if self._before is not None:
            self._tables = self._before
            self._before = None

    def load(self, table: Table[R], keys: Sequence[Any]) -> Iterable[R]:
        """See `Store.load`."""
        rows = self._tables[table.index]
        return [rows[key] for key in dict.fromkeys(keys) if key in rows]

    def load_groups(self, table: Table[R], owners: Sequence[Any]) -> Iterable[R]:
        """See `Store.load_groups`."""
        wanted = set(owners)
        return [
            row for row in self._tables[table.index].values() if getattr(row, table.group) in wanted
        ]

    def apply(self, changes: Sequence[Changes], settled: Sequence[Settled]) -> None:
        """See `Store.apply`."""
        self._remember()
        for table, puts, deletes, appends in changes:
            rows = self._tables[table.index]
            for row in appends:
                if table.key_of(row) in rows:
                    raise StoreRefused(f"{table.name} {table.key_of(row)} exists")
                self._check(table, table.key_of(row), row, rows)
                rows[table.key_of(row)] = row
            for row in puts:
                self._check(table, table.key_of(row), row, rows)
                rows[table.key_of(row)] = row
            for key in deletes:
                if table in APPEND_ONLY and key in rows:
                    raise StoreRefused(f"{table.name} is append-only")
                rows.pop(key, None)
        sms = self._tables[OUTBOX_SMS.index]
        for done in settled:
            if done.seq in sms:
                sms[done.seq] = msgspec.structs.replace(
                    sms[done.seq],
                    state=done.state,
                    attempts=done.attempts,
                    done_at=done.done_at,
                    link=done.link,
                    message_id=done.message_id,
                )

    def prune(self, *, before_ms: int, parts_before_ms: int, most: int) -> int:
        """See `Store.prune`."""
        self._remember()
        gone = 0
        told = self._tables[META.index].get(EVENTS_PUBLISHED)
        published = int(told.value) if told is not None else 0
        olds: tuple[tuple[Table[Any], Callable[[Any], bool]], ...] = (
            (MO_PART, lambda row: row.at < parts_before_ms),
            (SMSC_CONNECTION, lambda row: 0 < row.down_at < parts_before_ms),
            (MO, lambda row: row.at < before_ms),
            (OUTBOX_SMS, lambda row: row.at < before_ms and row.state != 0),
            (USSD_SESSION, lambda row: row.started_at < parts_before_ms),
            (OUTBOX_PUSH, lambda row: row.at < before_ms and row.state != 0),
            (OUTBOX_MAIL, lambda row: row.at < before_ms and row.state != 0),
            (OUTBOX_EVENT, lambda row: row.at < before_ms and row.seq <= published),
        )
        for table, old in olds:
            rows = self._tables[table.index]
            looked_at = sorted(rows)[:most] if table.log else sorted(rows)
            newest = max(rows, default=None) if table.log else None
            for key in [key for key in looked_at if old(rows[key]) and key != newest]:
                del rows[key]
                gone += 1
        return gone

    def next_seqs(self) -> dict[int, int]:
        """See `Store.next_seqs`."""
        return {table.index: 1 + max(self._tables[table.index], default=0) for table in LOGS}

    def heads(self) -> dict[int, bytes]:
        """See `Store.heads`."""
        found = {}
        for table in (ENTRY, AUDIT):
            rows = self._tables[table.index]
            found[table.index] = rows[max(rows)].hash if rows else FIRST_HASH
        return found

    def scan(self, table: Table[R], *, after: int = 0) -> Iterator[R]:
        """See `Store.scan`."""
        rows = self._tables[table.index]
        for key in sorted(rows):
            if not table.log or key > after:
                yield rows[key]

    def pending_sms(self, *, after: int, most: int) -> list[OutboxSms]:
        """See `Store.pending_sms`."""
        return [row for row in self.scan(OUTBOX_SMS, after=after) if row.state == 0][:most]

    def pending_pushes(self, *, after: int, most: int) -> list[OutboxPush]:
        """See `Store.pending_pushes`."""
        return [row for row in self.scan(OUTBOX_PUSH, after=after) if row.state == 0][:most]

    def pending_mails(self, *, now_ms: int, most: int) -> list[OutboxMail]:
        """See `Store.pending_mails`."""
        due = [row for row in self.scan(OUTBOX_MAIL) if row.state == 0 and row.next_at <= now_ms]
        return sorted(due, key=lambda row: (row.next_at, row.seq))[:most]

    def sms_by_message_id(self, message_id: str) -> list[Sent]:
        """See `Store.sms_by_message_id`."""
        return [
            Sent(row.seq, row.state, row.attempts, row.kind, row.mo, row.link)
            for row in self.scan(OUTBOX_SMS)
            if message_id and row.message_id == message_id
        ]

    def due_texts(self, *, now_ms: int, most: int) -> list[int]:
        """See `Store.due_texts`."""
        due = [row for row in self._tables[HELD_TEXT.index].values() if 0 < row.due_at <= now_ms]
        return [row.mo for row in sorted(due, key=lambda row: (row.due_at, row.mo))[:most]]

    def due_calls(self, *, now_ms: int, most: int) -> list[str]:
        """See `Store.due_calls`."""
        due = [row for row in self._tables[CALL.index].values() if 0 < row.due_at <= now_ms]
        return [row.id for row in sorted(due, key=lambda row: (row.due_at, row.id))[:most]]

    def due_payments(self, *, now_ms: int, most: int) -> list[str]:
        """See `Store.due_payments`."""
        due = [row for row in self._tables[PAYMENT.index].values() if 0 < row.next_at <= now_ms]
        return [row.id for row in sorted(due, key=lambda row: (row.next_at, row.id))[:most]]

    def due_subscriptions(self, *, now_ms: int, most: int) -> list[tuple[int, int]]:
        """See `Store.due_subscriptions`."""
        due = [
            row for row in self._tables[SUBSCRIPTION.index].values() if 0 < row.next_at <= now_ms
        ]
        return [
            (row.msisdn, row.period_no)
            for row in sorted(due, key=lambda row: (row.next_at, row.msisdn))[:most]
        ]

    def twins(
        self,
        fingerprints: Sequence[bytes],  # noqa: ARG002  # The port's.
        *,
        boot: int,  # noqa: ARG002
        since_ms: int,  # noqa: ARG002
    ) -> Mapping[bytes, Sequence[Twin]]:
        """See `Store.twins`: there is one daemon, and it knows by itself."""
        return {}

    def tend(self, boot: int, duties: Collection[str]) -> Tended:  # noqa: ARG002  # The port's.
        """See `Store.tend`: there is one daemon, and it does everything."""
        return Tended(frozenset(duties), frozenset())

    def inherit(
        self,
        owner: int,  # noqa: ARG002  # The port's.
        boot: int,  # noqa: ARG002
        *,
        now_ms: int,  # noqa: ARG002
        most: int,  # noqa: ARG002
    ) -> list[OutboxSms]:
        """See `Store.inherit`: there is one daemon, and nobody to leave it anything."""
        return []

    def close(self) -> None:
        """See `Store.close`."""

    def _remember(self) -> None:
        """How it was when the transaction began; copied at its first write only."""
        if self._before is None:
            self._before = [dict(rows) for rows in self._tables]

    def _check(self, table: Table[Any], key: Any, row: Any, rows: dict[Any, Any]) -> None:
        if table in APPEND_ONLY and key in rows:
            raise StoreRefused(f"{table.name} is append-only")
        holds = CHECKS.get(table)
        if holds is not None and not holds(row):
            raise StoreRefused(f"{table.name} {key}: a constraint says no")
        if (
            table is PERIOD
            and row.kind == "trial"
            and any(_same_trial(row, other) for other in rows.values())
        ):
            raise StoreRefused("a second trial")
        if table is CLEARING:
            payment = self._tables[PAYMENT.index].get(row.payment)
            if payment is None or payment.centre != row.centre:
                raise StoreRefused(f"clearing {key}: another centre's payment")
        if table is PAYMENT and key in rows and rows[key].centre != row.centre:
            cleared = self._tables[CLEARING.index].values()
            if any(other.payment == key for other in cleared):
                raise StoreRefused(f"payment {key} was cleared by its centre")
        if table is GATEWAY_FILE and any(
            other.hash == row.hash and other.day != row.day for other in rows.values()
        ):
            raise StoreRefused("a file is accepted once")


def _same_trial(row: Any, other: Any) -> bool:
    return bool(other.kind == "trial" and (other.msisdn, other.life) == (row.msisdn, row.life))
