"""What staff read of the books: a subscriber's story, cases, a payment, the audit log (CARE-1).

Only committed rows, over a connection that only reads.  The journal of texts, the outboxes and the
calls have no index of subscribers, because writing is what they are for: they are read backwards a
stretch at a time, and a page says from where to go on.  So a page takes a bounded time, however
large the books are.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from telcod.billing.accounts import account_name, debt_account, main_account
from telcod.billing.payments import subject_of
from telcod.dispatch import FORWARD_ROUTE
from telcod.reports import RowsReader
from telcod.rows import CENTRE, PAYMENT, PAYMENT_CASE, Centre, OutboxState, Payment
from telcod.rows import PaymentCase as CaseRow

PAGE: Final = 40
STRETCH: Final = 100_000
"""Rows of a journal that are looked through at a time."""
STRETCHES_MAX: Final = 2
TIES_MAX: Final = 2_000
CHAIN_MAX: Final = 20_000
"""Entries of one account that a story goes back; who has more is no subscriber but a machine."""
CASES_MAX: Final = 200
NOW_MS_MAX: Final = 1 << 53

# What one subscriber wrote to another is theirs; staff see that it was sent, and what became of it.
_PRIVATE_OUT: Final = frozenset({"forward", "login"})


class StoryRow(msgspec.Struct, frozen=True):
    """Something that happened to a subscriber.  Times are Unix milliseconds.

    `kind` is one of `KINDS`, `what` says more (a route, an entry's kind, an action); `state` what
    became of it; `amount_vnd` is what he got, or below zero what he paid; `other` another number.
    """

    at: int
    kind: str
    what: str
    id: str = ""
    text: str = ""
    other: str = ""
    state: str = ""
    actor: str = ""
    amount_vnd: int = 0
    seconds: int = 0
    ends_at: int = 0
    earlier_owner: bool = False


class StoryPage(msgspec.Struct, frozen=True):
    """A page of a story, newest first; the next one is what happened `before` (0: there is none).

    A page may have few rows, or none, and still not be the last: see the top of this file.
    """

    rows: tuple[StoryRow, ...]
    before: int


class Case(msgspec.Struct, frozen=True):
    """Something that a person must look at.

    `source` and `id` name it (`payment_case`, `payment`, `call`, `quarantine`); `kind` says what is
    wrong.  What is a `payment` ends when the payment goes on, the others are closed with a note.
    """

    source: str
    id: str
    kind: str
    at: int
    detail: str = ""
    payment: str = ""
    msisdn: str = ""
    amount_vnd: int = 0
    state: str = ""


class AuditLine(msgspec.Struct, frozen=True):
    """A line of the audit log."""

    seq: int
    at: int
    actor: str
    channel: str
    action: str
    subject: str
    detail: str


class AuditPage(msgspec.Struct, frozen=True):
    """A page of the audit log, newest first; `before` is where the next one begins (0: nowhere)."""

    lines: tuple[AuditLine, ...]
    before: int


class PaymentEntry(msgspec.Struct, frozen=True):
    """A movement of money of a payment."""

    seq: int
    at: int
    kind: str
    debit: str
    credit: str
    amount_vnd: int


class PaymentStory(msgspec.Struct, frozen=True):
    """A payment, its cases, its entries, and what was done to it."""

    payment: Payment
    cases: tuple[CaseRow, ...]
    entries: tuple[PaymentEntry, ...]
    audit: tuple[AuditLine, ...]


class _Found(NamedTuple):
    """What a source has: all of it that happened from `floor_ms` on."""

    rows: Sequence[StoryRow]
    floor_ms: int


Ask = Callable[[int, int, int], Awaitable[list[StoryRow]]]
Source = Callable[[RowsReader, int, int], Awaitable[_Found]]


class _Journal(NamedTuple):
    """A table that is read backwards by its number, and what is taken of it."""

    table: str
    key: str
    sql: str
    whose: int  # how many times the number stands in the query
    as_text: bool
    make: Callable[[int, Sequence[Any]], StoryRow]


async def story(
    reader: RowsReader, msisdn: int, *, kinds: Sequence[str] = (), before: int = 0, since: int = 0
) -> StoryPage:
    """A page of what happened to a subscriber.

    Args:
        reader: The books.
        msisdn: Whose.
        kinds: Of these only; none: of all `KINDS`.
        before: Where the page begins, Unix milliseconds: `before` of the last one; 0: now.
        since: Since when the number is his; what is older is marked (NUM-5).
    """
    before = before or NOW_MS_MAX
    wanted = [SOURCES[kind] for kind in kinds or KINDS]
    found = [await source(reader, msisdn, before) for group in wanted for source in group]
    floor_ms = max((each.floor_ms for each in found), default=0)
    rows = [row for each in found for row in each.rows if row.at >= floor_ms]
    rows.sort(key=lambda row: (row.at, _RANK[row.kind], row.id), reverse=True)
    if len(rows) > PAGE:
        floor_ms = rows[PAGE - 1].at
        rows = [row for row in rows if row.at >= floor_ms]
        more = True
    else:
        more = floor_ms > 0
    marked = [
        msgspec.structs.replace(row, earlier_owner=True) if row.at < since else row for row in rows
    ]
    return StoryPage(tuple(marked), floor_ms if more else 0)


async def cases(reader: RowsReader) -> tuple[Case, ...]:
    """All that waits for a person, oldest first; the first of each sort, if there are very many."""
    found: list[Case] = []
    for sql, make in _CASES:
        found += [make(row) for row in await reader.rows(sql, (CASES_MAX,))]
    return tuple(sorted(found, key=lambda case: (case.at, case.source, case.id)))


async def payment_story(reader: RowsReader, payment_id: str) -> PaymentStory | None:
    """A payment with all that belongs to it; None when there is none of this id."""
    found = await reader.rows(f"SELECT {_PAYMENT} FROM payment WHERE id = ?", (payment_id,))
    if not found:
        return None
    payment = Payment(*found[0])
    its_cases = await reader.rows(
        f"SELECT {_CASE} FROM payment_case WHERE payment = ? ORDER BY seq DESC LIMIT ?",
        (payment_id, CASES_MAX),
    )
    entries = await reader.rows(_ENTRIES, (payment.collected, payment.cleared))
    lines = await reader.rows(_AUDIT_OF, (payment_id, PAGE))
    return PaymentStory(
        payment,
        tuple(CaseRow(*row) for row in its_cases),
        tuple(
            PaymentEntry(row[0], row[1], row[2], account_name(row[3]), account_name(row[4]), row[5])
            for row in entries
        ),
        tuple(AuditLine(*row) for row in lines),
    )


async def centres(reader: RowsReader) -> tuple[Centre, ...]:
    """All six centres; one that nobody ever closed is open."""
    names = ", ".join(CENTRE.columns)
    found = {row[0]: Centre(*row) for row in await reader.rows(f"SELECT {names} FROM centre", ())}
    return tuple(found.get(number, Centre(number, 1, 0)) for number in range(1, 7))


async def audit(
    reader: RowsReader, *, before: int = 0, actor: str = "", subject: str = "", action: str = ""
) -> AuditPage:
    """A page of the audit log, newest first.

    Args:
        reader: The books.
        before: The number that the page begins below; 0: the newest.
        actor: Of whom only.
        subject: Of what only: a number's digits, a payment's id.
        action: Of actions that begin like this only.
    """
    newest = (await reader.rows("SELECT COALESCE(MAX(seq), 0) FROM audit", ()))[0][0]
    high = min(before - 1, newest) if before else newest
    low = 0 if subject else max(0, high - STRETCH * STRETCHES_MAX)
    values = (low, high, actor, actor, subject, subject, action, len(action), action, PAGE + 1)
    sql = _AUDIT_BY_SUBJECT if subject else _AUDIT
    lines = [AuditLine(*row) for row in await reader.rows(sql, values)]
    if len(lines) > PAGE:
        return AuditPage(tuple(lines[:PAGE]), lines[PAGE - 1].seq)
    return AuditPage(tuple(lines), low + 1 if low else 0)


# -- what a story is made of


def _text_in(_msisdn: int, row: Sequence[Any]) -> StoryRow:
    seq, at, short_code, route, text, verdict = row
    shown = "" if route == FORWARD_ROUTE else text
    return StoryRow(at, "in", route, id=str(seq), text=shown, other=short_code, state=verdict)


def _text_out(_msisdn: int, row: Sequence[Any]) -> StoryRow:
    seq, at, kind, source, text, state = row
    shown = "" if kind in _PRIVATE_OUT else text
    became = OutboxState(state).name.lower()
    return StoryRow(at, "out", kind, id=str(seq), text=shown, other=source, state=became)


def _held_text(msisdn: int, row: Sequence[Any]) -> StoryRow:
    mo, at, sender, payer, parts, price_vnd, state = row
    own = payer == msisdn
    return StoryRow(
        at,
        "text",
        "payer" if own else "sender",
        id=str(mo),
        other=str(sender if own else payer),
        state=state,
        text=str(parts),
        amount_vnd=-price_vnd if own and state == "delivered" else 0,
    )


def _push(_msisdn: int, row: Sequence[Any]) -> StoryRow:
    seq, at, kind, text, state = row
    return StoryRow(at, "push", kind, id=str(seq), text=text, state=OutboxState(state).name.lower())


_MO: Final = _Journal(
    "mo",
    "seq",
    "SELECT seq, at, short_code, route, text, verdict FROM mo "
    "WHERE seq BETWEEN ? AND ? AND source = ? AND route NOT IN ('sms.receipt', 'sms.part') "
    "ORDER BY seq DESC",
    1,
    as_text=True,
    make=_text_in,
)
_SMS: Final = _Journal(
    "outbox_sms",
    "seq",
    "SELECT seq, at, kind, source, text, state FROM outbox_sms "
    "WHERE seq BETWEEN ? AND ? AND destination = ? ORDER BY seq DESC",
    1,
    as_text=True,
    make=_text_out,
)
_HELD: Final = _Journal(
    "held_text",
    "mo",
    "SELECT mo, at, sender, payer, parts, price_vnd, state FROM held_text "
    "WHERE mo BETWEEN ? AND ? AND (payer = ? OR sender = ?) ORDER BY mo DESC",
    2,
    as_text=False,
    make=_held_text,
)
_PUSHES: Final = _Journal(
    "outbox_push",
    "seq",
    "SELECT seq, at, kind, text, state FROM outbox_push "
    "WHERE seq BETWEEN ? AND ? AND msisdn = ? ORDER BY seq DESC",
    1,
    as_text=False,
    make=_push,
)


def _backwards(journal: _Journal) -> Source:
    """A source that looks through a journal from a moment on, some stretches at most."""
    bounds = f"SELECT COALESCE(MIN({journal.key}), 0), COALESCE(MAX({journal.key}), -1) FROM {{}}"
    at_from = (
        f"SELECT {journal.key}, at FROM {journal.table} "
        f"WHERE {journal.key} >= ? ORDER BY {journal.key} LIMIT 1"
    )

    async def source(reader: RowsReader, msisdn: int, before: int) -> _Found:
        least, most = (await reader.rows(bounds.format(journal.table), ()))[0]
        high = await _first_from(reader, at_from, least, most, before) - 1
        who: Any = str(msisdn) if journal.as_text else msisdn
        rows: list[StoryRow] = []
        for _ in range(STRETCHES_MAX):
            low = high - STRETCH + 1
            values = (low, high, *(who,) * journal.whose)
            rows += [journal.make(msisdn, row) for row in await reader.rows(journal.sql, values)]
            if low <= least:
                return _Found(rows, 0)
            high = low - 1
            if len(rows) >= PAGE:
                break
        # Of the moment in which the stretch begins, rows may be missing: it is the next page's.
        first = await reader.rows(at_from, (high + 1,))
        return _Found(rows, first[0][1] + 1 if first else 0)

    return source


async def _calls(reader: RowsReader, msisdn: int, before: int) -> _Found:
    offset = STRETCH * STRETCHES_MAX
    found = await reader.rows(_CALLS_FLOOR, (before, offset))
    floor_ms = found[0][0] if found else 0
    asked = await reader.rows(_CALLS, (floor_ms, before - 1, msisdn, msisdn, TIES_MAX))
    rows = [_call(msisdn, row) for row in asked]
    return _Found(rows, rows[-1].at + 1 if len(rows) == TIES_MAX else floor_ms)


def _call(msisdn: int, row: Sequence[Any]) -> StoryRow:
    name, at, caller, payer, state, reason, key, billed_s, charged_vnd, suspect, over_at = row
    own = payer == msisdn
    return StoryRow(
        at,
        "call",
        "payer" if own else "caller",
        id=name,
        other=str(caller if own else payer) if caller and payer else "",
        state="suspect" if suspect else state,
        text=f"{reason} {key}".strip(),
        amount_vnd=-charged_vnd if own else 0,
        seconds=billed_s,
        ends_at=over_at,
    )


def _complete(make: Callable[[RowsReader, int], Ask]) -> Source:
    """A source that finds its rows by an index: a page of them, and all of the last moment."""

    async def source(reader: RowsReader, msisdn: int, before: int) -> _Found:
        ask = make(reader, msisdn)
        rows = await ask(0, before - 1, PAGE)
        if len(rows) < PAGE:
            return _Found(rows, 0)
        floor_ms = rows[-1].at
        kept = [row for row in rows if row.at > floor_ms]
        return _Found([*kept, *await ask(floor_ms, floor_ms, TIES_MAX)], floor_ms)

    return source


def _entries_of(account_of: Callable[[int], int]) -> Callable[[RowsReader, int], Ask]:
    def make(reader: RowsReader, msisdn: int) -> Ask:
        own = account_of(msisdn)

        async def ask(low: int, high: int, most: int) -> list[StoryRow]:
            values = (own, own, own, CHAIN_MAX, low, high, most)
            return [
                StoryRow(
                    at,
                    "charge",
                    kind,
                    id=str(seq),
                    text=command,
                    amount_vnd=amount_vnd if credit == own else -amount_vnd,
                    other=account_name(debit if credit == own else credit),
                )
                for seq, at, kind, command, debit, credit, amount_vnd in await reader.rows(
                    _CHAIN, values
                )
            ]

        return ask

    return make


def _periods(reader: RowsReader, msisdn: int) -> Ask:
    async def ask(low: int, high: int, most: int) -> list[StoryRow]:
        return [
            StoryRow(at, "package", kind, id=f"{life}.{number}", text=package, ends_at=ends_at)
            for at, life, number, package, kind, ends_at in await reader.rows(
                _PERIODS, (msisdn, low, high, most)
            )
        ]

    return ask


def _payments(reader: RowsReader, msisdn: int) -> Ask:
    async def ask(low: int, high: int, most: int) -> list[StoryRow]:
        return [
            StoryRow(
                at, "payment", purpose, id=name, state=state, text=reason, amount_vnd=amount_vnd
            )
            for at, name, purpose, state, reason, amount_vnd in await reader.rows(
                _PAYMENTS, (subject_of(msisdn), low, high, most)
            )
        ]

    return ask


def _lines(reader: RowsReader, msisdn: int) -> Ask:
    async def ask(low: int, high: int, most: int) -> list[StoryRow]:
        return [
            StoryRow(at, "staff", action, id=str(seq), text=detail, actor=actor, other=channel)
            for seq, at, actor, channel, action, detail in await reader.rows(
                _AUDIT_LINES, (str(msisdn), low, high, most)
            )
        ]

    return ask


async def _first_from(reader: RowsReader, sql: str, least: int, most: int, before_ms: int) -> int:
    """The least number whose row is not before a moment; times only grow with numbers."""
    low, high = least, most + 1
    if before_ms == NOW_MS_MAX:
        return high
    while low < high:
        middle = (low + high) // 2
        found = await reader.rows(sql, (middle,))
        if found and found[0][1] < before_ms:
            low = found[0][0] + 1
        else:
            high = middle
    return low


_CALLS_FLOOR: Final = (
    "SELECT offered_at FROM call WHERE offered_at < ? ORDER BY offered_at DESC LIMIT 1 OFFSET ?"
)
_CALLS: Final = (
    "SELECT id, offered_at, caller, payer, state, reason, consent_key, billed_s, charged_vnd, "
    "suspect, ended_at FROM call WHERE offered_at BETWEEN ? AND ? AND (payer = ? OR caller = ?) "
    "ORDER BY offered_at DESC LIMIT ?"
)
# From the account's head along its own chain of entries: no index on the hot table is needed.
_CHAIN: Final = """
    WITH RECURSIVE chain (seq, depth) AS (
        SELECT last_entry, 1 FROM account WHERE id = ? AND last_entry > 0
        UNION ALL
        SELECT CASE e.debit WHEN ? THEN e.debit_prev ELSE e.credit_prev END, c.depth + 1
        FROM chain c JOIN entry e ON e.seq = c.seq
        WHERE CASE e.debit WHEN ? THEN e.debit_prev ELSE e.credit_prev END > 0 AND c.depth < ?
    )
    SELECT e.seq, e.committed_at, e.kind, e.command, e.debit, e.credit, e.amount
    FROM chain c JOIN entry e ON e.seq = c.seq
    WHERE e.committed_at BETWEEN ? AND ? ORDER BY e.seq DESC LIMIT ?
"""
_PERIODS: Final = (
    "SELECT starts_at, life, period_no, package, kind, ends_at FROM period "
    "WHERE msisdn = ? AND starts_at BETWEEN ? AND ? ORDER BY starts_at DESC LIMIT ?"
)
_PAYMENTS: Final = (
    "SELECT p.created_at, p.id, p.purpose, p.state, p.reason, p.amount_vnd "
    "FROM payment_of o JOIN payment p ON p.id = o.payment "
    "WHERE o.subject = ? AND p.created_at BETWEEN ? AND ? ORDER BY p.created_at DESC LIMIT ?"
)
_AUDIT_LINES: Final = (
    "SELECT seq, at, actor, channel, action, detail FROM audit "
    "WHERE subject = ? AND at BETWEEN ? AND ? ORDER BY seq DESC LIMIT ?"
)

SOURCES: Final[Mapping[str, Sequence[Source]]] = {
    "message": (_backwards(_MO), _backwards(_SMS)),
    "package": (_complete(_periods),),
    "charge": (_complete(_entries_of(main_account)), _complete(_entries_of(debt_account))),
    "call": (_calls,),
    "text": (_backwards(_HELD),),
    "payment": (_complete(_payments),),
    "push": (_backwards(_PUSHES),),
    "staff": (_complete(_lines),),
}
KINDS: Final = tuple(SOURCES)
"""What a story can be filtered by; rows of `message` are of kind `in` or `out`."""
# Of one moment: what was asked for comes first, what was answered last.
_RANK: Final = {
    kind: rank
    for rank, kind in enumerate(
        ("in", "staff", "call", "text", "payment", "package", "charge", "push", "out")
    )
}

# -- cases

_PAYMENT: Final = ", ".join(PAYMENT.columns)
_CASE: Final = ", ".join(PAYMENT_CASE.columns)
_ENTRIES: Final = (
    "SELECT seq, committed_at, kind, debit, credit, amount FROM entry WHERE seq IN (?, ?) "
    "ORDER BY seq"
)
_AUDIT_OF: Final = (
    "SELECT seq, at, actor, channel, action, subject, detail FROM audit "
    "WHERE subject = ? ORDER BY seq DESC LIMIT ?"
)
_AUDIT: Final = (
    "SELECT seq, at, actor, channel, action, subject, detail FROM audit "
    "WHERE seq > ? AND seq <= ? AND (? = '' OR actor = ?) AND (? = '' OR subject = ?) "
    "AND (? = '' OR substr(action, 1, ?) = ?) ORDER BY seq DESC LIMIT ?"
)
_AUDIT_BY_SUBJECT: Final = _AUDIT.replace("(? = '' OR subject = ?)", "? <> '' AND subject = ?")

_OPEN_CASES: Final = """
    SELECT c.seq, c.kind, c.opened_at, c.detail, c.payment, COALESCE(CAST(p.msisdn AS TEXT), ''),
           COALESCE(p.amount_vnd, 0), COALESCE(p.state, '')
    FROM payment_case c LEFT JOIN payment p ON p.id = c.payment
    WHERE c.closed_at = 0 ORDER BY c.seq LIMIT ?
"""
_OPEN_PAYMENTS: Final = """
    SELECT id, state, CASE state WHEN 'unknown' THEN created_at ELSE authorised_at END, reason,
           msisdn, amount_vnd
    FROM payment WHERE next_at > 0 AND state IN ('unknown', 'in_review', 'clearing_failed')
    ORDER BY next_at LIMIT ?
"""
_PROPOSED: Final = """
    SELECT id, cancel_by, cleared_at, msisdn, amount_vnd FROM payment
    WHERE cancel_by <> '' AND state = 'cleared' ORDER BY created_at LIMIT ?
"""
# A call that was closed without its end, or whose late end could not be charged in full.
_SUSPECT_CALLS: Final = """
    SELECT c.id, c.offered_at, c.payer, c.charged_vnd, c.written_off_vnd, c.billed_s, c.ended_at
    FROM call c WHERE c.suspect = 1 AND (c.ended_at = 0 OR c.written_off_vnd > 0)
      AND NOT EXISTS (SELECT 1 FROM audit a
                      WHERE a.subject = 'call ' || c.id AND a.action = 'care.case_closed')
    ORDER BY c.offered_at LIMIT ?
"""
_SET_ASIDE: Final = """
    SELECT q.seq, q.at, q.route, q.request, q.error FROM quarantine q
    WHERE NOT EXISTS (SELECT 1 FROM audit a
                      WHERE a.subject = 'quarantine ' || q.seq AND a.action = 'care.case_closed')
    ORDER BY q.seq LIMIT ?
"""


def _of_case(row: Sequence[Any]) -> Case:
    seq, kind, at, detail, payment, msisdn, amount_vnd, state = row
    return Case("payment_case", str(seq), kind, at, detail, payment, str(msisdn), amount_vnd, state)


def _of_payment(row: Sequence[Any]) -> Case:
    name, state, at, reason, msisdn, amount_vnd = row
    return Case("payment", name, state, at, reason, name, str(msisdn), amount_vnd, state)


def _of_proposal(row: Sequence[Any]) -> Case:
    name, proposed_by, at, msisdn, amount_vnd = row
    return Case(
        "payment",
        name,
        "cancel_proposed",
        at,
        proposed_by,
        name,
        str(msisdn),
        amount_vnd,
        "cleared",
    )


def _of_call(row: Sequence[Any]) -> Case:
    name, at, payer, charged_vnd, written_off_vnd, billed_s, ended_at = row
    kind = "call.written_off" if ended_at else "call.suspect"
    amount_vnd = written_off_vnd if ended_at else charged_vnd
    return Case("call", name, kind, at, f"{billed_s} s", "", str(payer), amount_vnd, "ended")


def _of_request(row: Sequence[Any]) -> Case:
    seq, at, route, request, error = row
    sender = ""
    try:
        number = msgspec.json.decode(request, type=_Kept).sender
        sender = str(number) if number else ""
    except msgspec.MsgspecError:
        pass  # It says what it can; the request itself is shown as it is.
    return Case("quarantine", str(seq), "quarantine", at, f"{route}: {error}", "", sender, 0, "")


class _Kept(msgspec.Struct):
    """What matters here of a request that was set aside."""

    sender: int = 0


_CASES: Final[Sequence[tuple[str, Callable[[Sequence[Any]], Case]]]] = (
    (_OPEN_CASES, _of_case),
    (_OPEN_PAYMENTS, _of_payment),
    (_PROPOSED, _of_proposal),
    (_SUSPECT_CALLS, _of_call),
    (_SET_ASIDE, _of_request),
)
