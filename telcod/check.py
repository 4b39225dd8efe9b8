"""Proves the books: all that must be true between two commits, over every row of a store.

`check_books` asks for nothing but `scan`, so it reads a live file's snapshot as well as a store in
memory.  It streams: tables are read in key order and joined as they come, and what must be looked
up by number lies in arrays of machine integers, some 70 bytes for a subscriber and 25 for a charge.
Balances are built again from the entries, never believed.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from telcod.billing.accounts import account_name, floor_of, main_account
from telcod.billing.ledger import FIRST_HASH, audit_hash, entry_hash
from telcod.billing.tariffs import Tariff, TariffBook
from telcod.check_calls import CallBooks
from telcod.check_payments import PaymentBooks
from telcod.days import DAY_MS, business_date
from telcod.rows import (
    ACCOUNT,
    AUDIT,
    COMMAND,
    ENTRY,
    HOLD,
    LIST_ENTRY,
    META,
    MO,
    OUTBOX_SMS,
    PAYMENT_PASSWORD,
    PENDING_CONFIRM,
    PERIOD,
    QUARANTINE,
    SUBSCRIBER,
    SUBSCRIPTION,
    Entry,
    MoRow,
    PackageStatus,
    Period,
    Row,
    State,
    Subscriber,
    Subscription,
    Table,
)

CANCEL_AFTER_MS: Final = 30 * DAY_MS
SHOWN_MAX: Final = 100  # Of one invariant: whoever has a hundred does not need the rest.
COMMIT_CLOCK: Final = "commit_ms"
PACKAGE_KIND: Final = "package."
RENEWAL_COMMAND: Final = "renewal:"
ENDED_UNPAID: Final = "package.ended_unpaid"
FORWARDED: Final = "forward"
OPEN: Final = "open"

R = TypeVar("R", bound=Row)


class Violation(NamedTuple):
    """One thing that should not be: which invariant is broken, and where."""

    invariant: str
    what: str


class Scanner(Protocol):
    """The one thing that a check needs of a store."""

    def scan(self, table: Table[R], *, after: int = 0) -> Iterator[R]:
        """All committed rows in key order."""
        ...


def check_books(
    store: Scanner, *, tariffs: TariffBook | None = None, cancel_after_ms: int = CANCEL_AFTER_MS
) -> list[Violation]:
    """Say everything that is wrong with the books; nothing, if all is well.

    Args:
        store: What is committed; nobody may write between two of its scans, or they disagree.
        tariffs: With them, amounts and lengths of periods are compared with what they cost then.
        cancel_after_ms: How long renewals must have failed before a package ends unpaid.

    Returns:
        At most a hundred violations of each invariant, then one that counts the others.
    """
    found = _Found()
    meta = {row.name: row.value for row in store.scan(META)}
    commit_ms = int(meta.get(COMMIT_CLOCK, "0"))
    accounts = _Accounts(store, found)
    calls = CallBooks(found, tariffs)
    payments = PaymentBooks(found)
    charges = _check_entries(store, accounts, (calls, payments), found, commit_ms)
    accounts.compare(found)
    _check_holds(store, accounts, found)
    calls.check(store)
    payments.check(store, commit_ms=commit_ms)
    ended_unpaid = _check_texts(store, found, commit_ms)
    packages = _Packages(charges, tariffs, ended_unpaid, cancel_after_ms, found)
    _check_subscribers(store, packages, found)
    packages.check_unused()
    _check_log(store.scan(AUDIT), found, "audit chain", commit_ms, audit_hash)
    _check_log(store.scan(QUARANTINE), found, "quarantine", commit_ms, None)
    for command in store.scan(COMMAND):
        if command.at > commit_ms:
            found.add("commit clock", f"command {command.key} is of the future")
    return found.all()


class _Found:
    """What was found so far, bounded."""

    def __init__(self) -> None:
        self._shown: dict[str, list[Violation]] = {}
        self._left_out: dict[str, int] = {}

    def add(self, invariant: str, what: str) -> None:
        shown = self._shown.setdefault(invariant, [])
        if len(shown) < SHOWN_MAX:
            shown.append(Violation(invariant, what))
        else:
            self._left_out[invariant] = self._left_out.get(invariant, 0) + 1

    def all(self) -> list[Violation]:
        violations = [violation for shown in self._shown.values() for violation in shown]
        more = [Violation(name, f"and {n} more") for name, n in self._left_out.items()]
        return violations + more


class _Accounts:
    """All accounts, as stored and as their entries make them, in arrays ordered by id."""

    def __init__(self, store: Scanner, found: _Found) -> None:
        self._ids = array("q")
        self._posted = array("q")
        self._held = array("q")
        self._last = array("q")
        total = 0
        for row in store.scan(ACCOUNT):
            self._ids.append(row.id)
            self._posted.append(row.posted)
            self._held.append(row.held)
            self._last.append(row.last_entry)
            total += row.posted
            if row.floor != floor_of(row.id):
                found.add("floor", f"{account_name(row.id)} has the floor {row.floor}")
            elif row.floor is not None and row.posted - row.held < row.floor:
                found.add("floor", f"{account_name(row.id)}: {row.posted} posted, {row.held} held")
        if total:
            found.add("sum", f"all accounts together have {total} d, not 0")
        # What the entries make of them.
        self.built = array("q", bytes(8 * len(self._ids)))
        self.newest = array("q", bytes(8 * len(self._ids)))

    def place(self, account_id: int) -> int:
        """Where an account stands in the arrays; -1 when there is none."""
        at = bisect_left(self._ids, account_id)
        return at if at < len(self._ids) and self._ids[at] == account_id else -1

    def compare(self, found: _Found) -> None:
        """Stored balances and chain heads against those of the entries."""
        for at, account_id in enumerate(self._ids):
            if self._posted[at] != self.built[at]:
                found.add(
                    "rebuild",
                    f"{account_name(account_id)} has {self._posted[at]} d, "
                    f"its entries make {self.built[at]} d",
                )
            if self._last[at] != self.newest[at]:
                found.add(
                    "account chain",
                    f"{account_name(account_id)} names entry {self._last[at]} as its last, "
                    f"it is {self.newest[at]}",
                )

    def compare_held(self, opened: dict[int, int], found: _Found) -> None:
        """Money set aside against the holds that are open."""
        for at, held in enumerate(self._held):
            if held or opened:
                account_id = self._ids[at]
                should = opened.pop(account_id, 0)
                if held != should:
                    found.add(
                        "held", f"{account_name(account_id)} holds {held} d, open holds {should} d"
                    )
        for account_id in opened:
            found.add("held", f"a hold on {account_name(account_id)}, which does not exist")


class _Charges:
    """Entries that charged a package, by number; each must be named by exactly one period."""

    def __init__(self) -> None:
        self.seqs = array("q")
        self._debits = array("q")
        self._amounts = array("q")
        self._words = array("H")
        self._dictionary: dict[tuple[str, str, bool], int] = {}
        self._meanings: list[tuple[str, str, bool]] = []
        self.used = bytearray()

    def add(self, entry: Entry) -> None:
        self.seqs.append(entry.seq)
        self._debits.append(entry.debit)
        self._amounts.append(entry.amount)
        # Few packages, few tariffs: a number stands for each combination.
        meaning = (entry.kind, entry.tariff, entry.command.startswith(RENEWAL_COMMAND))
        if meaning not in self._dictionary:
            self._dictionary[meaning] = len(self._meanings)
            self._meanings.append(meaning)
        self._words.append(self._dictionary[meaning])
        self.used.append(0)

    def place(self, seq: int) -> int:
        at = bisect_left(self.seqs, seq)
        return at if at < len(self.seqs) and self.seqs[at] == seq else -1

    def charge(self, at: int) -> "_Charge":
        return _Charge(self._debits[at], self._amounts[at], *self._meanings[self._words[at]])


class _Charge(NamedTuple):
    debit: int
    amount_vnd: int
    kind: str
    tariff: str
    renewal: bool


def _check_entries(
    store: Scanner,
    accounts: _Accounts,
    books: Sequence[CallBooks | PaymentBooks],
    found: _Found,
    commit_ms: int,
) -> _Charges:
    """The chain from the first entry; balances and each account's own chain built on the way."""
    charges = _Charges()
    head, expected, before_ms = FIRST_HASH, 1, 0
    for entry in store.scan(ENTRY):
        if entry.seq != expected:
            found.add("entry chain", f"entry {expected} is missing before {entry.seq}")
        if entry.prev_hash != head or entry.hash != entry_hash(entry):
            found.add("entry chain", f"entry {entry.seq} does not follow from the one before it")
        if not before_ms <= entry.committed_at <= commit_ms:
            found.add("commit clock", f"entry {entry.seq} is out of time")
        elif entry.business_date != business_date(entry.committed_at):
            found.add("entry", f"entry {entry.seq} is of another day than {entry.business_date}")
        if entry.amount <= 0 or entry.debit == entry.credit:
            found.add("entry", f"entry {entry.seq} moves nothing")
        _move(accounts, entry, found)
        if entry.kind.startswith(PACKAGE_KIND):
            charges.add(entry)
        for book in books:
            book.entry(entry)
        head, expected, before_ms = entry.hash, entry.seq + 1, entry.committed_at
    return charges


def _move(accounts: _Accounts, entry: Entry, found: _Found) -> None:
    for account_id, amount, previous in (
        (entry.debit, -entry.amount, entry.debit_prev),
        (entry.credit, entry.amount, entry.credit_prev),
    ):
        at = accounts.place(account_id)
        if at < 0:
            found.add("rebuild", f"entry {entry.seq} is of {account_name(account_id)}: no such")
            continue
        if accounts.newest[at] != previous:
            found.add(
                "account chain",
                f"entry {entry.seq} follows {previous} on {account_name(account_id)}, "
                f"it should be {accounts.newest[at]}",
            )
        accounts.newest[at] = entry.seq
        accounts.built[at] += amount
        floor = floor_of(account_id)
        if amount < 0 and floor is not None and accounts.built[at] < floor:
            found.add("floor", f"entry {entry.seq} overdraws {account_name(account_id)}")


def _check_holds(store: Scanner, accounts: _Accounts, found: _Found) -> None:
    opened: dict[int, int] = {}
    for hold in store.scan(HOLD):
        if hold.status == OPEN:
            opened[hold.account] = opened.get(hold.account, 0) + hold.amount
        if not 0 <= hold.posted <= hold.amount or (hold.posted and hold.status != "posted"):
            found.add("hold", f"{hold.id} is {hold.status} with {hold.posted} of {hold.amount} d")
    accounts.compare_held(opened, found)


def _check_texts(store: Scanner, found: _Found, commit_ms: int) -> dict[str, int]:
    """The journal of texts and the outbox, side by side: replies are in the journal's order.

    Returns:
        When whom it was last told that his package ended unpaid, by address.
    """
    ended_unpaid: dict[str, int] = {}
    texts = _journal(store, found, commit_ms)
    text = next(texts, None)
    first = text.seq if text is not None else 0
    answered = 0
    for sms in store.scan(OUTBOX_SMS):
        if sms.at > commit_ms:
            found.add("commit clock", f"outgoing text {sms.seq} is of the future")
        if sms.kind == ENDED_UNPAID:
            ended_unpaid[sms.destination] = sms.at
        if not sms.mo or sms.kind == FORWARDED:
            continue  # What was texted to 1566+number goes to that number: no reply.
        if sms.mo <= answered:
            found.add("one reply", f"outgoing text {sms.seq} answers {sms.mo} again")
            continue
        answered = sms.mo
        while text is not None and text.seq < sms.mo:
            text = next(texts, None)
        if sms.mo < first:
            continue  # Old enough to be pruned.
        if text is None or text.seq != sms.mo:
            found.add("outbox", f"outgoing text {sms.seq} answers {sms.mo}, which never came")
        elif (text.source, text.short_code) != (sms.destination, sms.source):
            found.add("outbox", f"outgoing text {sms.seq} does not go where {sms.mo} came from")
    for _ in texts:  # Read to its end, so that all of it is checked.
        pass
    return ended_unpaid


def _journal(store: Scanner, found: _Found, commit_ms: int) -> Iterator[MoRow]:
    expected, before_ms = 0, 0
    for text in store.scan(MO):
        if expected and text.seq != expected:
            found.add("journal", f"text {expected} is missing before {text.seq}")
        if not before_ms <= text.at <= commit_ms:
            found.add("commit clock", f"text {text.seq} is out of time")
        expected, before_ms = text.seq + 1, text.at
        yield text


class _Joined:
    """Rows of a table in step with the subscribers; what belongs to none of them is reported."""

    def __init__(self, store: Scanner, table: Table[Any], found: _Found) -> None:
        self._name = table.name
        self._number = table.key[0]
        self._rows = iter(store.scan(table))
        self._next = next(self._rows, None)
        self._found = found

    def of(self, msisdn: int) -> Sequence[Any]:
        """The rows of a subscriber; must be asked for in ascending order."""
        if self._next is None or getattr(self._next, self._number) > msisdn:
            return ()
        rows = []
        while self._next is not None and (number := getattr(self._next, self._number)) <= msisdn:
            if number == msisdn:
                rows.append(self._next)
            else:
                self._found.add("owner", f"{self._name} of {number}, who is no subscriber")
            self._next = next(self._rows, None)
        return rows

    def rest(self) -> None:
        """Report what comes after the last subscriber."""
        while self._next is not None:
            number = getattr(self._next, self._number)
            self._found.add("owner", f"{self._name} of {number}, who is no subscriber")
            self._next = next(self._rows, None)


def _check_subscribers(store: Scanner, packages: "_Packages", found: _Found) -> None:
    numbers, closed = array("q"), bytearray()
    subscriptions = _Joined(store, SUBSCRIPTION, found)
    periods = _Joined(store, PERIOD, found)
    passwords = _Joined(store, PAYMENT_PASSWORD, found)
    pending = _Joined(store, PENDING_CONFIRM, found)
    for subscriber in store.scan(SUBSCRIBER):
        msisdn = subscriber.msisdn
        numbers.append(msisdn)
        closed.append(subscriber.state == State.CLOSED)
        own = subscriptions.of(msisdn)
        packages.check(subscriber, own[0] if own else None, periods.of(msisdn))
        kept = [*passwords.of(msisdn), *pending.of(msisdn)]
        if subscriber.state == State.CLOSED and (own or kept or subscriber.language != "vi"):
            found.add("closed", f"{msisdn} is closed and still has a package, password or setting")
    for joined in (subscriptions, periods, passwords, pending):
        joined.rest()
    for entry in store.scan(LIST_ENTRY):
        if entry.owner == entry.number:
            found.add("lists", f"{entry.owner} is on his own list")
        for number in (entry.owner, entry.number):
            at = bisect_left(numbers, number)
            if at == len(numbers) or numbers[at] != number:
                found.add("lists", f"{entry.owner} lists {entry.number}: {number} is unknown")
            elif closed[at]:
                found.add("lists", f"{entry.owner} lists {entry.number}: {number} is closed")


class _Packages:
    """Periods, their charges and the subscription that goes by the last of them."""

    def __init__(
        self,
        charges: _Charges,
        tariffs: TariffBook | None,
        ended_unpaid: dict[str, int],
        cancel_after_ms: int,
        found: _Found,
    ) -> None:
        self._charges = charges
        self._tariffs: dict[str, Tariff] | None = None
        if tariffs is not None:
            self._tariffs = {tariff.id: tariff for tariff in tariffs.tariffs}
        self._ended_unpaid = ended_unpaid
        self._cancel_after_ms = cancel_after_ms
        self._found = found

    def check(
        self, subscriber: Subscriber, current: Subscription | None, periods: Sequence[Period]
    ) -> None:
        """All of one subscriber: every life of his number, then what stands now."""
        by_life: dict[int, list[Period]] = {}
        for period in periods:
            by_life.setdefault(period.life, []).append(period)
        for life, of_life in by_life.items():
            if not 1 <= life <= subscriber.life:
                self._say("periods", subscriber, f"has periods of life {life}, lives {life} only")
            self._check_life(subscriber, of_life)
        now = by_life.get(subscriber.life, [])
        trials = sum(period.kind == "trial" for period in now)
        if subscriber.trial_used != min(trials, 1) and subscriber.state != State.CLOSED:
            self._say("trial", subscriber, f"says trial used {subscriber.trial_used}, had {trials}")
        if current is not None:
            self._check_current(subscriber, current, now[-1] if now else None)
        elif now and subscriber.state != State.CLOSED:
            self._say("subscription", subscriber, "has periods and no subscription")

    def check_unused(self) -> None:
        """No package was charged without a period."""
        for seq, used in zip(self._charges.seqs, self._charges.used, strict=True):
            if not used:
                self._found.add("charge", f"entry {seq} charges a package, and no period names it")

    def _check_life(self, subscriber: Subscriber, periods: Sequence[Period]) -> None:
        if [period.period_no for period in periods] != list(range(1, len(periods) + 1)):
            self._say("periods", subscriber, "has periods that are not numbered 1, 2, 3, ...")
        if sum(period.kind == "trial" for period in periods) > 1:
            self._say("trial", subscriber, "had a trial twice")
        renewals = [self._check_charge(subscriber, period) for period in periods]
        for (before, after), renewal in zip(pairwise(periods), renewals[1:], strict=True):
            # Who cancels and registers again begins anew, before the end of what he cancelled.
            follows = renewal or after.kind == "missed"
            if after.starts_at < (before.ends_at if follows else before.starts_at):
                self._say("periods", subscriber, f"period {after.period_no} overlaps another")
            gapless = after.kind == "missed" or (before.kind == "missed" and renewal)
            if gapless and after.starts_at != before.ends_at:
                self._say("periods", subscriber, f"something is missing before {after.period_no}")

    def _check_charge(self, subscriber: Subscriber, period: Period) -> bool:
        """Whether a period was a renewal; reports a charge that is not the period's."""
        number = period.period_no
        if period.kind != "paid":
            if period.entry:
                self._say("charge", subscriber, f"period {number} is {period.kind} and charged")
            return False
        at = self._charges.place(period.entry)
        if at < 0:
            self._say("charge", subscriber, f"period {number} is paid by no charge")
            return False
        charge = self._charges.charge(at)
        if self._charges.used[at]:
            self._say("charge", subscriber, f"period {number} is paid by an entry used before")
        self._charges.used[at] = 1
        kind = PACKAGE_KIND + period.package
        if (charge.debit, charge.kind) != (main_account(subscriber.msisdn), kind):
            self._say("charge", subscriber, f"period {number} is paid by another's entry")
        if self._tariffs is not None:
            self._check_price(subscriber, period, charge, self._tariffs)
        return charge.renewal

    def _check_price(
        self,
        subscriber: Subscriber,
        period: Period,
        charge: _Charge,
        tariffs: dict[str, Tariff],
    ) -> None:
        tariff = tariffs.get(charge.tariff)
        terms = tariff.packages.get(period.package) if tariff is not None else None
        paid = (charge.amount_vnd, period.ends_at - period.starts_at)
        if terms is None:
            self._say("price", subscriber, f"period {period.period_no}: no such tariff or package")
        elif paid != (terms.price_vnd, terms.period_ms):
            self._say("price", subscriber, f"period {period.period_no} has another price or length")

    def _check_current(
        self, subscriber: Subscriber, current: Subscription, last: Period | None
    ) -> None:
        if last is None:
            self._say("subscription", subscriber, "has a subscription and no period")
            return
        stands = (current.period_no, current.package, current.started_at, current.ends_at)
        if stands != (last.period_no, last.package, last.starts_at, last.ends_at):
            self._say("subscription", subscriber, "has another subscription than his last period")
        if bool(current.trial) != (last.kind == "trial") or last.kind == "missed":
            self._say("subscription", subscriber, "has a subscription that stands on no right")
        if not self._is_in_time(current):
            self._say("subscription", subscriber, f"is {current.status}, and its times say not so")
        told_ms = self._ended_unpaid.get(str(subscriber.msisdn), 0)
        if current.status == PackageStatus.CANCELLED and current.failed_since and told_ms:
            failed_ms = told_ms - current.failed_since
            if 0 <= failed_ms < self._cancel_after_ms:
                self._say("30 days", subscriber, f"lost his package after {failed_ms} ms already")

    def _is_in_time(self, current: Subscription) -> bool:
        """Whether the times of a subscription fit its status."""
        if current.status == PackageStatus.ACTIVE:
            return current.failed_since == 0 and 0 < current.next_at <= current.ends_at
        if current.status == PackageStatus.SUSPENDED:
            give_up_at = current.failed_since + self._cancel_after_ms
            return current.ends_at <= current.failed_since <= current.next_at <= give_up_at
        return current.next_at == 0

    def _say(self, invariant: str, subscriber: Subscriber, what: str) -> None:
        self._found.add(invariant, f"{subscriber.msisdn} {what}")


def _check_log(
    rows: Iterator[Any],
    found: _Found,
    invariant: str,
    commit_ms: int,
    row_hash: Callable[[Any], bytes] | None,
) -> None:
    """A log without gaps and in time, and its chain of hashes if it has one."""
    head, expected, before_ms = FIRST_HASH, 1, 0
    for row in rows:
        if row.seq != expected:
            found.add(invariant, f"line {expected} is missing before {row.seq}")
        if not before_ms <= row.at <= commit_ms:
            found.add("commit clock", f"{invariant}: line {row.seq} is out of time")
        if row_hash is not None:
            if row.prev_hash != head or row.hash != row_hash(row):
                found.add(invariant, f"line {row.seq} does not follow from the one before it")
            head = row.hash
        expected, before_ms = row.seq + 1, row.at
