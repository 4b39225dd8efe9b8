"""A small operator to test against: books, rules, a clock set by hand, and a telephone.

`World` runs requests through the same `Batcher` that the daemon's writer thread runs, on a store in
memory or in a file.  Nothing here decides anything: what a text does is said by handlers and books.
"""

from functools import cache

import msgspec

import handlers
from telcod.billing.accounts import debt_account, main_account
from telcod.check import check_books
from telcod.clock import ManualClock
from telcod.days import HOUR_MS, day_start_ms
from telcod.engine import Batcher
from telcod.rows import (
    ACCOUNT,
    LIST_ENTRY,
    OUTBOX_SMS,
    PERIOD,
    SUBSCRIBER,
    SUBSCRIPTION,
    TABLES,
)
from telcod.rulebook import load_rules
from telcod.service import with_sessions
from telcod.settings import load
from telcod.storage.memory import MemoryStore
from telcod.storage.sqlite import SqliteStore
from telcod.types import Channel, Mo, Request
from telcod.vault import Vault

START_MS = day_start_ms(20260302) + 10 * HOUR_MS
KEY = bytes(range(32))
DUE_MAX = 1_000
ROUNDS_MAX = 10_000
HASHED = "$argon2id$of-a-password"


@cache
def shipped_rules():
    """The rules as shipped, read once: they are values."""
    return load_rules(load(None, {}))


def rules_with(**sections):
    """The shipped rules with other limits, as in `rules_with(lists={"entries_max": 3})`."""
    rules = shipped_rules()
    changed = {
        name: msgspec.structs.replace(getattr(rules.limits, name), **values)
        for name, values in sections.items()
    }
    return msgspec.structs.replace(rules, limits=msgspec.structs.replace(rules.limits, **changed))


def open_store(where):
    """The books at a path, at the address of a server (a text), or in memory if nowhere."""
    if where is None:
        return MemoryStore()
    if isinstance(where, str):
        from telcod.storage.postgres import PostgresStore  # Few need the driver.

        return PostgresStore.open(where)
    return SqliteStore.open(where)


class World:
    """An operator with no subscribers yet."""

    def __init__(
        self, path=None, *, rules=None, start_ms=START_MS, store=None, routes=None, asks_twice=False
    ):
        self.path = path
        self.rules = rules or shipped_rules()
        self.routes = with_sessions(routes or handlers.ROUTES)
        self.clock = ManualClock(start_ms)
        self.vault = Vault(KEY)
        self.store = store or open_store(path)
        self.batcher = self._batcher()
        self.asks_twice = asks_twice  # The clock asks for everything twice, as after a crash.
        self._intents = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.store.close()

    def _batcher(self):
        return Batcher(self.store, self.rules, self.routes, self.clock, self.vault)

    # -- asking

    def run(self, *requests):
        """All requests in one batch; their results."""
        return self.batcher.run(requests).results

    def text_request(self, sender, text, *, code="1566", connection=1):
        """What the edge makes of a text: the password hashed, its text not kept (PAY-1)."""
        parsed = self.rules.dispatcher.parse(code, text)
        return Request(
            route=parsed.route,
            sender=sender,
            args=parsed.args,
            short_code=code,
            mo=Mo(
                connection=connection,
                source=str(sender),
                fingerprint=self.vault.fingerprint(f"{sender}>{code}:{text}".encode()),
                stored_text="" if parsed.secret_bearing else text,
            ),
            secret_hash=HASHED if parsed.secret else "",
        )

    def text(self, sender, text, *, code="1566"):
        """Somebody texts a short code; the answer."""
        (result,) = self.run(self.text_request(sender, text, code=code))
        return result

    def import_(self, *lines):
        """Take over subscriber data; what a line does not say is usual."""
        usual = {"kind": "prepaid", "state": "active", "centre": 1}
        body = {"lines": [usual | line for line in lines]}
        (result,) = self.run(Request(route="staff.import", channel=Channel.STAFF, body=body))
        return result

    def subscriber(self, msisdn, **line):
        """A subscriber comes to the operator."""
        self.import_({"msisdn": msisdn} | line)
        return msisdn

    def topup_request(self, msisdn, amount_vnd, *, key="", reason="cash"):
        self._intents += 1
        return Request(
            route="staff.topup",
            sender=msisdn,
            args=(str(amount_vnd), reason),
            key=key or f"topup:{self._intents}",
            channel=Channel.STAFF,
        )

    def topup(self, msisdn, amount_vnd, *, key=""):
        (result,) = self.run(self.topup_request(msisdn, amount_vnd, key=key))
        return result

    def set_state(self, msisdn, state):
        request = Request(
            route="staff.set_state", sender=msisdn, args=(state,), channel=Channel.STAFF
        )
        (result,) = self.run(request)
        return result

    # -- time

    @property
    def now_ms(self):
        return self.clock.wall_ms()

    def clock_requests(self):
        """What the scheduler would ask for now."""
        due = self.store.due_subscriptions(now_ms=self.now_ms, most=DUE_MAX)
        return [
            Request(
                route="clock.package",
                sender=msisdn,
                args=(str(period_no),),
                channel=Channel.CLOCK,
            )
            for msisdn, period_no in due
        ]

    def clock_work(self):
        """Carry out what is due, until nothing is; the outcomes, in order."""
        outcomes: list[str] = []
        for _ in range(ROUNDS_MAX):
            requests = self.clock_requests()
            if not requests:
                return outcomes
            outcomes += [result.outcome for result in self.run(*requests)]
            if self.asks_twice:
                outcomes += [result.outcome for result in self.run(*requests)]
        raise AssertionError(f"the clock's work never ends: {outcomes[-5:]}")

    def next_due_ms(self):
        """When the clock has something to do next; None if never."""
        moments = [row.next_at for row in self.store.scan(SUBSCRIPTION) if row.next_at > 0]
        return min(moments, default=None)

    def pass_time(self, ms, *, down=False):
        """Time passes; what comes due is done at its moment, or left undone if telcod is down."""
        target_ms = self.now_ms + ms
        outcomes: list[str] = []
        while not down:
            due_ms = self.next_due_ms()
            if due_ms is None or due_ms > target_ms:
                break
            self.clock.advance(max(0, due_ms - self.now_ms))
            outcomes += self.clock_work()
        self.clock.advance(target_ms - self.now_ms)
        return outcomes

    def restart(self):
        """Stop and start again on the same books."""
        if self.path is not None:
            self.store.close()
            self.store = open_store(self.path)
        self.batcher = self._batcher()

    # -- looking

    def row(self, table, key):
        return next(iter(self.store.load(table, (key,))), None)

    def balance(self, msisdn):
        account = self.row(ACCOUNT, main_account(msisdn))
        return account.posted if account else 0

    def debt(self, msisdn):
        account = self.row(ACCOUNT, debt_account(msisdn))
        return -account.posted if account else 0

    def package(self, msisdn):
        return self.row(SUBSCRIPTION, msisdn)

    def subscriber_row(self, msisdn):
        return self.row(SUBSCRIBER, msisdn)

    def periods(self, msisdn):
        return [row for row in self.store.scan(PERIOD) if row.msisdn == msisdn]

    def listed(self, owner, kind):
        """The numbers on a list, in ascending order."""
        rows = self.store.load_groups(LIST_ENTRY, (owner,))
        return sorted(row.number for row in rows if row.kind == kind)

    def outbox(self):
        return list(self.store.scan(OUTBOX_SMS))

    def sent_to(self, msisdn):
        """All texts that left for a number, oldest first."""
        return [row.text for row in self.outbox() if row.destination == str(msisdn)]

    def check(self):
        return check_books(self.store, tariffs=self.rules.tariffs)

    def contents(self, *, without=()):
        """All rows of all tables, for comparing two worlds."""
        return {
            table.name: list(self.store.scan(table)) for table in TABLES if table not in without
        }
