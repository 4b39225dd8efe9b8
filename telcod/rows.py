"""The rows of the books, and the tables they live in.  Pure: no SQL here beyond the names.

Each `Table` says which columns make the key, and whether rows are read one by one or as the group
of one owner (all list entries of a subscriber, all parts of a long message).  Stores read this;
handlers read and write the rows. Money is whole đồng, times are Unix milliseconds, days are
yyyymmdd of Asia/Ho_Chi_Minh.
"""

from enum import IntEnum, StrEnum
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable


class Kind(StrEnum):
    """How a subscriber pays."""

    PREPAID = "prepaid"
    POSTPAID = "postpaid"


class State(StrEnum):
    """What the network lets a subscriber do (SPEC, Words)."""

    ACTIVE = "active"
    OUT_OF_MONEY = "out_of_money"
    DEBT_BLOCKED = "debt_blocked"
    SUSPENDED = "suspended"
    CLOSED = "closed"


class PackageStatus(StrEnum):
    """Life of a subscription.

    `suspended` means that a renewal failed and is tried again (PKG-6).
    """

    ACTIVE = "active"
    SUSPENDED = "suspended"
    CANCELLED = "cancelled"


class ListKind(StrEnum):
    """Whitelist or blacklist (LST)."""

    WHITE = "white"
    BLACK = "black"


class CallState(StrEnum):
    """Life of a receiver-paid call; the first three are open."""

    ASKING = "asking"
    GRANTED = "granted"
    TALKING = "talking"
    ENDED = "ended"
    REFUSED = "refused"


class HoldStatus(StrEnum):
    """A hold is open until it ends, exactly once, in one of the others."""

    OPEN = "open"
    POSTED = "posted"
    RELEASED = "released"
    EXPIRED = "expired"


class OutboxState(IntEnum):
    """Where an outgoing text stands; only `PENDING` ones are still to be sent."""

    PENDING = 0
    ACCEPTED = 1
    FAILED = 2
    EXPIRED = 3
    DELIVERED = 4
    UNDELIVERED = 5


class Row(msgspec.Struct, frozen=True, gc=False):
    """A row as it stands in the books."""


class Subscriber(Row, frozen=True):
    """A number of this operator.

    `life` counts its owners: a number that comes back is somebody else (NUM-5).
    """

    msisdn: int
    kind: str
    state: str
    language: str
    centre: int
    notices: int
    trial_used: int
    life: int
    since: int = 0


class SubscriberDetail(Row, frozen=True):
    """What is personal; read only where it's shown."""

    msisdn: int
    name: str
    address: str
    email: str


class PaymentPassword(Row, frozen=True):
    """argon2id of the payment password (PAY-1); never the password."""

    msisdn: int
    hash: str
    set_at: int


class Account(Row, frozen=True):
    """`posted` grows by credits and shrinks by debits; `held` is set aside; `posted - held >=
    floor` always.

    `last_entry` heads the account's chain of entries (`Entry.debit_prev`, `Entry.credit_prev`), so
    that the story of an account is read without an index on the hot table.
    """

    id: int
    posted: int
    held: int
    floor: int | None
    last_entry: int

    @property
    def spendable_vnd(self) -> int:
        """What may be spent now, in đồng."""
        return self.posted - self.held - (self.floor or 0)


class Entry(Row, frozen=True):
    """One movement of `amount` đồng from the debit account to the credit account.

    Append-only, hash-chained.
    """

    seq: int
    debit: int
    credit: int
    amount: int
    kind: str
    command: str
    event_at: int
    committed_at: int
    business_date: int
    tariff: str
    reverses: int | None
    debit_prev: int
    credit_prev: int
    prev_hash: bytes
    hash: bytes


class Hold(Row, frozen=True):
    """Money set aside; ends exactly once: posted, released or expired."""

    id: str
    account: int
    amount: int
    status: str
    opened_at: int
    expires_at: int
    posted: int


class Subscription(Row, frozen=True):
    """The parent-child package of a subscriber; one row for life, `period_no` only ever grows.

    `next_at` is when the clock has something to do (0: never), `failed_since` when renewals began
    to fail (0: they don't).
    """

    msisdn: int
    package: str
    status: str
    trial: int
    period_no: int
    started_at: int
    ends_at: int
    next_at: int
    remind_at: int
    failed_since: int
    tariff: str


class Period(Row, frozen=True):
    """One period of a package as it was given.

    `trial`, `paid`, or `missed` (down, never charged; PKG-6).
    """

    msisdn: int
    life: int
    period_no: int
    package: str
    kind: str
    starts_at: int
    ends_at: int
    entry: int


class ListEntry(Row, frozen=True):
    """A number on a subscriber's list: on one list at a time, by its key (LST-2)."""

    owner: int
    number: int
    kind: str
    added_at: int


class PendingConfirm(Row, frozen=True):
    """A registration that waits for `Y` (PKG-9)."""

    msisdn: int
    package: str
    expires_at: int


class Recent(Row, frozen=True):
    """When something limited happened lately, comma-separated milliseconds, oldest first (KW-3,
    PFM-14).
    """

    subject: str
    times: str


class Command(Row, frozen=True):
    """An intent that was carried out.

    Its key, a hash of the request, and the answer that stands (DESIGN 4).
    """

    key: str
    hash: bytes
    answer: bytes
    at: int


class MoRow(Row, frozen=True):
    """A text that came in.  `text` is what may be kept of it; `verdict` the outcome it got."""

    seq: int
    connection: int
    at: int
    source: str
    short_code: str
    route: str
    text: str
    verdict: str
    fingerprint: bytes


class MoPart(Row, frozen=True):
    """A part of a long text that waits for the others, encrypted (PAY-1).

    `sender` is `source>short code`.
    """

    sender: str
    ref: int
    total: int
    part: int
    at: int
    data_coding: int
    sealed: bytes


class OutboxSms(Row, frozen=True):
    """A text to send, written in the transaction of its cause.  `mo` is the text it answers (0:
    none).

    `receipt` asks the SMSC for a delivery receipt; only then its `message_id` is kept, to match it
    (SMPP-4).  `owner` is the daemon that sends it, where several share the books: the number of its
    start; 0 where one daemon has them for itself.
    """

    seq: int
    at: int
    mo: int
    kind: str
    source: str
    destination: str
    text: str
    expires_at: int
    state: int
    attempts: int
    done_at: int
    link: str
    message_id: str
    receipt: int
    owner: int = 0


class Call(Row, frozen=True):
    """A receiver-paid call (PFM-10…17).  Times are Unix milliseconds, 0 is not yet; seconds are of
    talk.

    `id` is the platform's own, behind the platform's name; `due_at` is when supervision looks at it
    (0: never again). `consent_*` are the evidence of PFM-13.  `suspect`: closed by supervision
    without an end.
    """

    id: str
    caller: int
    payer: int
    payer_life: int
    state: str
    reason: str
    language: str
    asks: int
    automatic: int
    consent_key: str
    consent_at: int
    wording: str
    recording: str
    tariff: str
    granted_s: int
    final: int
    offered_at: int
    answered_at: int
    answered_there: int
    used_s: int
    ended_at: int
    billed_s: int
    charged_vnd: int
    written_off_vnd: int
    suspect: int
    due_at: int


class Asking(Row, frozen=True):
    """Who is being asked just now, and for which call.

    A second caller is refused as busy (IVR-3).
    """

    payer: int
    call: str


class TextState(StrEnum):
    """Life of a receiver-paid text; the first two are open."""

    ASKING = "asking"
    SENDING = "sending"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    REFUSED = "refused"
    EXPIRED = "expired"


class HeldText(Row, frozen=True):
    """A text from A for B to pay (PFM-30), by its number in the journal.

    `due_at` is when the clock ends it (0: never).
    """

    mo: int
    sender: int
    payer: int
    text: str
    parts: int
    price_vnd: int
    tariff: str
    state: str
    code: str
    at: int
    due_at: int


class AskedText(Row, frozen=True):
    """The code by which B answers for a text that waits."""

    payer: int
    code: str
    mo: int


class PartReceipt(Row, frozen=True):
    """A part of a long text whose receipt is waited for, by its message id and the link that sent
    it.

    By the text's own number (`=17`), without a link, it says how many parts are still `remaining`.
    """

    message_id: str
    link: str
    outbox: int
    remaining: int


class UssdSession(Row, frozen=True):
    """A USSD dialogue (USSD-3).

    `id` is the gateway's own behind the gateway's name; `step` is what the next input must carry.
    `typed` and `shown` are the last step's, so that the same step again gets the same answer;
    `heard` all inputs so far, for gateways that send all of them; `place` where in the menu it
    stands, as JSON (empty: nowhere to go back to).
    """

    id: str
    msisdn: int
    life: int
    service_code: str
    started_at: int
    touched_at: int
    step: int
    typed: str
    heard: str
    shown: str
    place: str
    ended: int


class UssdLast(Row, frozen=True):
    """A subscriber's newest dialogue: what may be gone on with, and where a gateway that names no
    session is (SMPP-7).
    """

    msisdn: int
    session: str


class OutboxPush(Row, frozen=True):
    """What telcod says to a phone by USSD unasked (USSD-4).

    `ref` names what it is about, by `kind`; `asks` whether an answer is waited for, in the session
    `push-<seq>`.  States as those of `OutboxSms`.
    """

    seq: int
    at: int
    msisdn: int
    kind: str
    ref: str
    text: str
    asks: int
    expires_at: int
    state: int
    attempts: int
    done_at: int


class OutboxEvent(Row, frozen=True):
    """Something that happened, for other systems (MQTT-2): `subject/verb` and a JSON object.

    `msisdn` is whose event it is (0: nobody's); those of one subscriber are told in order.
    """

    seq: int
    at: int
    subject: str
    verb: str
    msisdn: int
    body: str


class PaymentState(StrEnum):
    """Life of a card payment (PAY-5); the first six are open."""

    CREATED = "created"
    REDIRECTED = "redirected"
    UNKNOWN = "unknown"
    IN_REVIEW = "in_review"
    CLEARING = "clearing"
    CLEARING_FAILED = "clearing_failed"
    CLEARED = "cleared"
    DECLINED = "declined"
    EXPIRED = "expired"
    REJECTED_FRAUD = "rejected_fraud"
    CANCELLED = "cancelled"


class Payment(Row, frozen=True):
    """A card payment of a bill or a top-up (PAY-3…10).  Times are Unix milliseconds, 0 is not yet.

    `day` is the business date of acceptance, whose `slot` it holds (1) or has given back (0);
    `next_at` when the cashier looks at it (0: never again).  `risk` names the rules that looked at
    it; `asked` counts inquiries; `voiding` is 1 while the gateway must void it, 2 when it has.
    `collected` and `cleared` are entries (0: none); `cancel_by` has proposed to cancel it (PAY-9).
    """

    id: str
    msisdn: int
    life: int
    centre: int
    purpose: str
    card: str
    amount_vnd: int
    state: str
    reason: str
    platform: str
    address: str
    email: str
    invoice: int
    return_url: str
    day: int
    slot: int
    created_at: int
    redirect_url: str
    gateway_ref: str
    masked_card: str
    card_token: str
    bank: str
    cashier: str
    authorised_at: int
    risk: str
    cleared_at: int
    collected: int
    cleared: int
    asked: int
    voiding: int
    alarmed: int
    cancel_by: str
    next_at: int


class LimitCounter(Row, frozen=True):
    """What a subscriber has paid on a day: slots taken, and sums in đồng (PAY-3)."""

    msisdn: int
    day: int
    payments: int
    bills_vnd: int
    topups_vnd: int


class PaymentOf(Row, frozen=True):
    """A subscriber's payments, found by whose they are; those of one card by `card:<token>`, of one
    address by `address:<ip>` (PAY-6).
    """

    subject: str
    payment: str
    at: int


class Clearing(Row, frozen=True):
    """What was done to a subscriber's account for a payment, by which centre's user (PAY-7).

    Append-only; the database refuses another centre's user, and another centre's payment.
    """

    seq: int
    at: int
    day: int
    payment: str
    centre: int
    operator: str
    kind: str
    amount_vnd: int
    entry: int


class PaymentCase(Row, frozen=True):
    """Something about a payment that a person must look at; closed by one, with a note."""

    seq: int
    payment: str
    kind: str
    opened_at: int
    detail: str
    closed_at: int
    closed_by: str
    note: str


class Centre(Row, frozen=True):
    """Whether a centre's clearing can be done now."""

    centre: int
    clearing_open: int
    since: int


class LookupTries(Row, frozen=True):
    """Wrong passwords of a number in a row, and until when its look-up is locked (PAY-2)."""

    msisdn: int
    wrong: int
    locked_until: int


class Invoice(Row, frozen=True):
    """A VAT invoice that was asked for; `day` is the day of the request, for its batch (PAY-11)."""

    payment: str
    msisdn: int
    centre: int
    day: int
    at: int
    name: str
    address: str
    email: str
    purpose: str
    amount_vnd: int


class GatewayFile(Row, frozen=True):
    """The gateway's file of a day, accepted once (PAY-12)."""

    day: int
    hash: str
    lines: int
    amount_vnd: int
    at: int
    actor: str
    matched: int
    differences: int


class GatewayLine(Row, frozen=True):
    """A line of it and what came of it; `line` 0 and below are payments of ours that it lacks."""

    day: int
    line: int
    payment: str
    amount_vnd: int
    cashier: str
    verdict: str
    ours_vnd: int
    entry: int


class DayClose(Row, frozen=True):
    """The books of a day are closed: what came in, what was cleared, what is in between."""

    day: int
    at: int
    collected_vnd: int
    cleared_vnd: int
    transit_vnd: int
    differences: int
    actor: str


class Settlement(Row, frozen=True):
    """What the acquiring bank paid for a day, in advance and finally (PAY-13)."""

    id: str
    day: int
    kind: str
    amount_vnd: int
    entry: int
    at: int


class OutboxMail(Row, frozen=True):
    """An e-mail to send.  States as those of `OutboxSms`; `next_at` is when to try (again)."""

    seq: int
    at: int
    kind: str
    recipient: str
    subject: str
    body: str
    state: int
    attempts: int
    next_at: int
    done_at: int


class LoginCode(Row, frozen=True):
    """How a subscriber logs in on web and app (SELF-1).  One row for life.

    `hash` is a keyed hash of the code that is good until `expires_at` (empty: none), `tries` the
    wrong ones typed for it, `asked` when codes were sent lately; `sessions` the hashes of the
    sessions that may still be open, comma-separated, oldest first.
    """

    msisdn: int
    life: int
    hash: str
    expires_at: int
    tries: int
    asked: str
    sessions: str


class SelfSession(Row, frozen=True):
    """A subscriber who is logged in, by the SHA-256 of his token; `acts` counts what he did."""

    hash: str
    msisdn: int
    life: int
    channel: str
    started_at: int
    touched_at: int
    acts: int


class SmscConnection(Row, frozen=True):
    """Redelivery evidence: answers up to `confirmed_seq` were written to a connection that stayed
    up (DESIGN 4).
    """

    id: int
    link: str
    up_at: int
    down_at: int
    confirmed_seq: int
    last_seq: int


class Quarantine(Row, frozen=True):
    """A request that made a handler fail: kept for a person, never run again by itself."""

    seq: int
    at: int
    route: str
    request: str
    error: str


class Audit(Row, frozen=True):
    """Who did what from where.  Append-only, hash-chained (PAY-7, CARE-2)."""

    seq: int
    at: int
    actor: str
    channel: str
    action: str
    subject: str
    detail: str
    prev_hash: bytes
    hash: bytes


class Token(Row, frozen=True):
    """A bearer token by its SHA-256; the token itself is shown once and never kept (CLI-7)."""

    name: str
    scope: str
    hash: str
    created_at: int
    revoked_at: int


class TariffSeen(Row, frozen=True):
    """A tariff this file has used: after `valid_from` it may never change (DESIGN 5)."""

    id: str
    valid_from: int
    hash: str


class Meta(Row, frozen=True):
    """Small facts about the file: the commit clock, the boot counter."""

    name: str
    value: str


EVENTS_PUBLISHED: Final = "events_published"
"""The fact that says up to which number the broker has taken events (MQTT-2)."""

R = TypeVar("R", bound=Row)


class Table(Generic[R]):
    """Where rows of one kind live.

    `key` names the primary key's columns; `group`, if any, the column whose equal rows are read
    together. `log` tables are appended to and numbered by `seq`.
    """

    __slots__ = (
        "columns",
        "group",
        "group_at",
        "index",
        "key",
        "key_at",
        "key_of",
        "log",
        "name",
        "row",
    )

    def __init__(
        self,
        name: str,
        row: type[R],
        key: tuple[str, ...],
        *,
        index: int,
        group: str = "",
        log: bool = False,
    ) -> None:
        self.name: Final = name
        self.row: Final = row
        self.key: Final = key
        self.index: Final = index
        self.group: Final = group
        self.log: Final = log
        self.columns: Final[tuple[str, ...]] = row.__struct_fields__
        self.key_at: Final = tuple(self.columns.index(column) for column in key)
        self.group_at: Final = self.columns.index(group) if group else -1
        self.key_of: Final[Callable[[R], Any]] = attrgetter(*key)
        """The row's primary key: the value itself for one column, a tuple for several."""

    def __repr__(self) -> str:
        return f"Table({self.name})"


META: Final = Table("meta", Meta, ("name",), index=0)
SUBSCRIBER: Final = Table("subscriber", Subscriber, ("msisdn",), index=1)
SUBSCRIBER_DETAIL: Final = Table("subscriber_detail", SubscriberDetail, ("msisdn",), index=2)
PAYMENT_PASSWORD: Final = Table("payment_password", PaymentPassword, ("msisdn",), index=3)
ACCOUNT: Final = Table("account", Account, ("id",), index=4)
ENTRY: Final = Table("entry", Entry, ("seq",), index=5, log=True)
HOLD: Final = Table("hold", Hold, ("id",), index=6)
SUBSCRIPTION: Final = Table("subscription", Subscription, ("msisdn",), index=7)
PERIOD: Final = Table("period", Period, ("msisdn", "life", "period_no"), index=8)
LIST_ENTRY: Final = Table("list_entry", ListEntry, ("owner", "number"), index=9, group="owner")
PENDING_CONFIRM: Final = Table("pending_confirm", PendingConfirm, ("msisdn",), index=10)
RECENT: Final = Table("recent", Recent, ("subject",), index=11)
COMMAND: Final = Table("command", Command, ("key",), index=12)
MO: Final = Table("mo", MoRow, ("seq",), index=13, log=True)
MO_PART: Final = Table(
    "mo_part", MoPart, ("sender", "ref", "total", "part"), index=14, group="sender"
)
OUTBOX_SMS: Final = Table("outbox_sms", OutboxSms, ("seq",), index=15, log=True)
SMSC_CONNECTION: Final = Table("smsc_connection", SmscConnection, ("id",), index=16)
QUARANTINE: Final = Table("quarantine", Quarantine, ("seq",), index=17, log=True)
AUDIT: Final = Table("audit", Audit, ("seq",), index=18, log=True)
TOKEN: Final = Table("token", Token, ("name",), index=19)
TARIFF_SEEN: Final = Table("tariff_seen", TariffSeen, ("id",), index=20)

CALL: Final = Table("call", Call, ("id",), index=21)
ASKING: Final = Table("asking", Asking, ("payer",), index=22)

HELD_TEXT: Final = Table("held_text", HeldText, ("mo",), index=23)
ASKED_TEXT: Final = Table("asked_text", AskedText, ("payer", "code"), index=24, group="payer")

PART_RECEIPT: Final = Table(
    "part_receipt", PartReceipt, ("message_id", "link"), index=25, group="message_id"
)

USSD_SESSION: Final = Table("ussd_session", UssdSession, ("id",), index=26)
USSD_LAST: Final = Table("ussd_last", UssdLast, ("msisdn",), index=27)
OUTBOX_PUSH: Final = Table("outbox_push", OutboxPush, ("seq",), index=28, log=True)
OUTBOX_EVENT: Final = Table("outbox_event", OutboxEvent, ("seq",), index=29, log=True)

PAYMENT: Final = Table("payment", Payment, ("id",), index=30)
LIMIT_COUNTER: Final = Table("limit_counter", LimitCounter, ("msisdn", "day"), index=31)
PAYMENT_OF: Final = Table(
    "payment_of", PaymentOf, ("subject", "payment"), index=32, group="subject"
)
CLEARING: Final = Table("clearing", Clearing, ("seq",), index=33, log=True)
PAYMENT_CASE: Final = Table("payment_case", PaymentCase, ("seq",), index=34, log=True)
CENTRE: Final = Table("centre", Centre, ("centre",), index=35)
LOOKUP_TRIES: Final = Table("lookup_tries", LookupTries, ("msisdn",), index=36)
INVOICE: Final = Table("invoice", Invoice, ("payment",), index=37)
GATEWAY_FILE: Final = Table("gateway_file", GatewayFile, ("day",), index=38)
GATEWAY_LINE: Final = Table("gateway_line", GatewayLine, ("day", "line"), index=39, group="day")
DAY_CLOSE: Final = Table("day_close", DayClose, ("day",), index=40)
SETTLEMENT: Final = Table("settlement", Settlement, ("id",), index=41)
OUTBOX_MAIL: Final = Table("outbox_mail", OutboxMail, ("seq",), index=42, log=True)

LOGIN_CODE: Final = Table("login_code", LoginCode, ("msisdn",), index=43)
SELF_SESSION: Final = Table("self_session", SelfSession, ("hash",), index=44)

# The same rows, read by the number that is listed rather than by the list's owner (NUM-5).
LIST_ENTRY_BY_NUMBER: Final = Table(
    "list_entry", ListEntry, ("owner", "number"), index=LIST_ENTRY.index, group="number"
)

TABLES: Final[tuple[Table[Any], ...]] = (
    META,
    SUBSCRIBER,
    SUBSCRIBER_DETAIL,
    PAYMENT_PASSWORD,
    ACCOUNT,
    ENTRY,
    HOLD,
    SUBSCRIPTION,
    PERIOD,
    LIST_ENTRY,
    PENDING_CONFIRM,
    RECENT,
    COMMAND,
    MO,
    MO_PART,
    OUTBOX_SMS,
    SMSC_CONNECTION,
    QUARANTINE,
    AUDIT,
    TOKEN,
    TARIFF_SEEN,
    CALL,
    ASKING,
    HELD_TEXT,
    ASKED_TEXT,
    PART_RECEIPT,
    USSD_SESSION,
    USSD_LAST,
    OUTBOX_PUSH,
    OUTBOX_EVENT,
    PAYMENT,
    LIMIT_COUNTER,
    PAYMENT_OF,
    CLEARING,
    PAYMENT_CASE,
    CENTRE,
    LOOKUP_TRIES,
    INVOICE,
    GATEWAY_FILE,
    GATEWAY_LINE,
    DAY_CLOSE,
    SETTLEMENT,
    OUTBOX_MAIL,
    LOGIN_CODE,
    SELF_SESSION,
)
LOGS: Final = tuple(table for table in TABLES if table.log)
