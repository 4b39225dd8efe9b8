"""Proves the receiver-paid calls: each against its hold, its consent, its price and its entries.

A part of `telcod.check`.  It streams: calls and holds are read in key order, side by side; what the
entries charged is summed up in a fixed number of buckets, so that memory does not grow with the
calls.  Only when a bucket disagrees are the entries read again, to say which call it is.
"""

from array import array
from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol, TypeVar
from zlib import crc32

from telcod.billing.accounts import REVENUE_VOICE, WRITE_OFF, main_account
from telcod.billing.calls import OPEN_STATES, price_vnd
from telcod.billing.consent import ACCEPT_KEY, WHITELIST_KEY
from telcod.billing.tariffs import TariffBook, VoiceTariff
from telcod.rows import (
    ASKING,
    CALL,
    ENTRY,
    HOLD,
    Call,
    CallState,
    Entry,
    Hold,
    HoldStatus,
    Row,
    Table,
)

CHARGE_KIND: Final = "call"
WRITE_OFF_KIND: Final = "call.write_off"
KINDS: Final = frozenset({CHARGE_KIND, WRITE_OFF_KIND})
PREFIX: Final = "call:"
BUCKETS: Final = 1 << 12
MAY_PAY: Final = frozenset({ACCEPT_KEY, WHITELIST_KEY})

R = TypeVar("R", bound=Row)


class Scanner(Protocol):
    """The one thing that a check needs of a store."""

    def scan(self, table: Table[R], *, after: int = 0) -> Iterator[R]:
        """All committed rows in key order."""
        ...


class Found(Protocol):
    """Where to say what is wrong."""

    def add(self, invariant: str, what: str) -> None:
        """One violation of an invariant."""
        ...


class CallBooks:
    """What the entries say of calls, and then whether the calls say the same."""

    def __init__(self, found: Found, tariffs: TariffBook | None) -> None:
        self._found = found
        self._voices: dict[str, VoiceTariff] | None = None
        if tariffs is not None:
            self._voices = {tariff.id: tariff.voice for tariff in tariffs.tariffs}
        self._sums = array("q", bytes(8 * BUCKETS))

    def entry(self, entry: Entry) -> None:
        """Take note of an entry; those that are of no call do not matter."""
        if entry.kind in KINDS:
            self._sums[_bucket(_key(entry))] += entry.amount
            if entry.credit != REVENUE_VOICE:
                self._found.add("call charge", f"entry {entry.seq} goes to the wrong account")

    def check(self, store: Scanner) -> None:
        """Every call, every hold of a call, everybody who is being asked."""
        asked = {row.call: row.payer for row in store.scan(ASKING)}
        holds = _Holds(store, self._found)
        for call in store.scan(CALL):
            self._check_call(call, holds.of(call.id), asked.pop(call.id, None))
            for key, said_vnd in _said(call):
                self._sums[_bucket(key)] -= said_vnd
        holds.rest()
        for call_id, payer in asked.items():
            self._found.add("asking", f"{payer} is asked for {call_id}, which does not exist")
        if any(self._sums):
            self._compare_entries(store)

    def _check_call(self, call: Call, hold: Hold | None, asked: int | None) -> None:
        if (call.due_at > 0) != (call.state in OPEN_STATES):
            self._say("call", call, f"is {call.state} and due at {call.due_at}")
        if asked != (call.payer if call.state == CallState.ASKING else None):
            self._say("asking", call, f"is {call.state}, and {asked} is being asked for it")
        connected = call.state not in {CallState.ASKING, CallState.REFUSED}
        if connected and not (call.consent_at and (call.automatic or call.consent_key in MAY_PAY)):
            self._say("consent", call, "was connected, and nobody agreed to pay")
        if not connected and (call.granted_s or call.used_s or hold is not None):
            self._say("call", call, f"is {call.state} and has a grant or a hold")
        if call.state != CallState.ENDED and (call.charged_vnd or call.written_off_vnd):
            self._say("call charge", call, f"is {call.state} and charged")
        if hold is not None:
            self._check_hold(call, hold)
        if self._voices is not None:
            self._check_price(call, hold, self._voices.get(call.tariff))

    def _check_hold(self, call: Call, hold: Hold) -> None:
        if hold.account != main_account(call.payer):
            self._say("call hold", call, "holds somebody else's money")
        is_open = hold.status == HoldStatus.OPEN
        if is_open != (call.state in {CallState.GRANTED, CallState.TALKING}):
            self._say("call hold", call, f"is {call.state} and its hold {hold.status}")
        # What a late end added was not held any more (PFM-17).
        if not is_open and hold.posted != call.charged_vnd:
            late = call.suspect and call.ended_at and hold.posted < call.charged_vnd
            if not late:
                self._say("call hold", call, f"paid {call.charged_vnd} d, its hold {hold.posted} d")

    def _check_price(self, call: Call, hold: Hold | None, voice: VoiceTariff | None) -> None:
        if voice is None:
            self._say("call price", call, f"is priced by {call.tariff}, which is unknown")
            return
        granted_vnd = price_vnd(call.granted_s, voice)
        if (hold.amount if hold is not None else 0) != granted_vnd:
            self._say("call hold", call, f"may talk {call.granted_s} s, which is not what it holds")
        if call.state != CallState.ENDED:
            return
        billed_vnd = price_vnd(call.billed_s, voice)
        if call.billed_s != min(call.used_s, call.granted_s) or call.charged_vnd > billed_vnd:
            self._say("call price", call, f"pays {call.charged_vnd} d for {call.billed_s} s")
        if call.charged_vnd != billed_vnd and not call.suspect:
            self._say("call price", call, f"pays {call.charged_vnd} d, it should be {billed_vnd}")
        if call.charged_vnd + call.written_off_vnd != price_vnd(call.used_s, voice):
            self._say("call price", call, "was neither paid nor written off as a whole")

    def _compare_entries(self, store: Scanner) -> None:
        """Say which calls and entries disagree; only those of unequal buckets are looked at."""
        differ: dict[_Key, int] = {}
        for entry in store.scan(ENTRY):
            if entry.kind in KINDS and self._sums[_bucket(_key(entry))]:
                key = _key(entry)
                differ[key] = differ.get(key, 0) + entry.amount
        for call in store.scan(CALL):
            for key, said_vnd in _said(call):
                if self._sums[_bucket(key)]:
                    differ[key] = differ.get(key, 0) - said_vnd
        for key, more_vnd in differ.items():
            if more_vnd:
                self._found.add(
                    "call charge",
                    f"{key.call}: its entries ({key.kind}) are {more_vnd} d more than it says",
                )

    def _say(self, invariant: str, call: Call, what: str) -> None:
        self._found.add(invariant, f"{call.id} {what}")


class _Holds:
    """The holds of calls, in step with the calls."""

    def __init__(self, store: Scanner, found: Found) -> None:
        self._rows = (hold for hold in store.scan(HOLD) if hold.id.startswith(PREFIX))
        self._next = next(self._rows, None)
        self._found = found

    def of(self, call_id: str) -> Hold | None:
        """The hold of a call, if it has one; must be asked for in ascending order."""
        wanted = PREFIX + call_id
        while self._next is not None and self._next.id < wanted:
            self._skip(self._next)
        if self._next is None or self._next.id != wanted:
            return None
        hold, self._next = self._next, next(self._rows, None)
        return hold

    def rest(self) -> None:
        """Report what comes after the last call."""
        while self._next is not None:
            self._skip(self._next)

    def _skip(self, hold: Hold) -> None:
        self._found.add("call hold", f"{hold.id} is of no call")
        self._next = next(self._rows, None)


class _Key(NamedTuple):
    """What is summed up together: one kind of entry of one call, from one account."""

    kind: str
    call: str
    debit: int


def _key(entry: Entry) -> _Key:
    _, _, call_id = entry.command.partition(":")  # `call:`, and `call.late:` for a late end.
    return _Key(entry.kind, call_id, entry.debit)


def _said(call: Call) -> tuple[tuple[_Key, int], ...]:
    """What the call itself says that its entries come to."""
    return (
        (_Key(CHARGE_KIND, call.id, main_account(call.payer)), call.charged_vnd),
        (_Key(WRITE_OFF_KIND, call.id, WRITE_OFF), call.written_off_vnd),
    )


def _bucket(key: _Key) -> int:
    return crc32("|".join(map(str, key)).encode()) % BUCKETS
