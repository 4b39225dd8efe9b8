"""Mistakes that could have been made, each put into the running code for as long as a `with` lasts.

A property is believed after it has caught a planted bug.  This is the one place where tests replace
parts of telcod: nothing here is a fake to test against, it is what the machine must not forgive.
"""

from contextlib import contextmanager

import msgspec

import handlers
import handlers.packages
import handlers.staff
import telcod.engine
import telcod.storage.memory
from telcod.billing import ledger, packages
from telcod.rows import ACCOUNT, LIST_ENTRY, SUBSCRIBER, SUBSCRIPTION, Account
from telcod.storage.memory import MemoryStore
from telcod.tx import Tx
from telcod.types import Reply, say

replace = msgspec.structs.replace


@contextmanager
def put_in(owner, name, wrong):
    right = getattr(owner, name)
    setattr(owner, name, wrong(right))
    forget(owner)
    try:
        yield
    finally:
        setattr(owner, name, right)
        forget(owner)


def forget(owner):
    """What functions beside it remember was made without the mistake, or with it."""
    for beside in vars(owner).values():
        if hasattr(beside, "cache_clear"):
            beside.cache_clear()


def richer(account):
    """The account with one đồng more than there is."""
    return None if account is None else Account(*richer_values(account))


def richer_values(account):
    return account.id, account.posted + 1, account.held, account.floor, account.last_entry


@contextmanager
def overdraft_by_one():
    def renewal(right):
        return lambda current, subscriber, account, *rest, **more: right(
            current, subscriber, richer(account), *rest, **more
        )

    def transfer(right):
        return lambda asked, debit, credit: right(asked, richer(debit), credit)

    def without_accounts(checks):
        return {table: holds for table, holds in checks.items() if table is not ACCOUNT}

    with (
        put_in(handlers.packages, "decide_renewal", renewal),
        put_in(ledger, "decide_transfer", transfer),
        put_in(telcod.storage.memory, "CHECKS", without_accounts),
    ):
        yield


@contextmanager
def trial_twice():
    def register(right):
        return lambda package, subscriber, *rest, **more: right(
            package, replace(subscriber, trial_used=0), *rest, **more
        )

    with put_in(handlers.packages, "decide_register", register):
        yield


@contextmanager
def missed_periods_charged():
    def renewal(right):
        def wrong(*args, **more):
            decision = right(*args, **more)
            if isinstance(decision, packages.Renew) and decision.missed:
                return decision._replace(price_vnd=decision.price_vnd * (1 + decision.missed))
            return decision

        return wrong

    with put_in(handlers.packages, "decide_renewal", renewal):
        yield


@contextmanager
def double_renewal_on_repeat():
    def look_after(right):
        def wrong(request, tx):
            current = tx.get(SUBSCRIPTION, request.sender)
            subscriber = tx.get(SUBSCRIBER, request.sender)
            if (
                current is not None
                and current.status == "active"
                and current.started_at <= tx.now_ms
            ):
                right_reply = right(request, tx)
                if right_reply.outcome in {"clock.moved_on", "clock.not_due"}:
                    return handlers.packages.renew(tx, subscriber, current)
                return right_reply
            return right(request, tx)

        return wrong

    row = handlers.ROUTES["clock.package"]
    with route(row._replace(handler=look_after(row.handler))):
        yield


@contextmanager
def undo_forgets_a_table():
    def undo(right):
        def wrong(tx, mark):
            accounts = tx._rows[ACCOUNT.index]
            kept = [step for step in tx._undo[mark.undo :] if step[0] is not accounts]
            tx._undo[mark.undo :] = kept
            right(tx, mark)

        return wrong

    with put_in(Tx, "undo", undo):
        yield


@contextmanager
def key_not_compared():
    with put_in(telcod.engine, "request_hash", lambda _: lambda request: b"same"):
        yield


@contextmanager
def cancelling_keeps_the_whitelist_on():
    def wrong(request, tx):
        right = handlers.packages.cancel(request, tx)
        row = tx.get(SUBSCRIPTION, request.sender)
        if row is not None and right.outcome == "package.cancelled":
            tx.put(SUBSCRIPTION, replace(row, status="active"))
        return right

    with route(handlers.ROUTES["package.cancel"]._replace(handler=wrong)):
        yield


@contextmanager
def cancelled_after_29_days():
    def renewal(right):
        def wrong(current, subscriber, account, tariff, limits, **more):
            shorter = replace(limits, cancel_after_h=29 * 24)
            return right(current, subscriber, account, tariff, shorter, **more)

        return wrong

    with put_in(handlers.packages, "decide_renewal", renewal):
        yield


@contextmanager
def a_number_that_comes_back_has_its_old_lists():
    def close(right):
        def wrong(tx, subscriber):
            kept = list(tx.group(LIST_ENTRY, subscriber.msisdn).values())
            right(tx, subscriber)
            for entry in kept:
                tx.put(LIST_ENTRY, entry)

        return wrong

    with put_in(handlers.staff, "_close", close):
        yield


@contextmanager
def later_requests_of_a_batch_do_not_see_earlier_ones():
    def get(right):
        def wrong(tx, table, key):
            seen = right(tx, table, key)
            if table is ACCOUNT and seen is not None:
                return next(iter(tx._loader.load(table, (key,))), seen)
            return seen

        return wrong

    with put_in(Tx, "get", get):
        yield


@contextmanager
def a_top_up_does_not_try_again():
    with put_in(handlers.staff, "retry_after_topup", lambda _: lambda tx, subscriber: Reply("")):
        yield


@contextmanager
def a_retry_forgets_since_when_it_failed():
    def renewal(right):
        def wrong(*args, now_ms, **more):
            decision = right(*args, now_ms=now_ms, **more)
            if isinstance(decision, packages.Suspend):
                return decision._replace(failed_since=now_ms)
            return decision

        return wrong

    with put_in(handlers.packages, "decide_renewal", renewal):
        yield


@contextmanager
def the_second_number_of_a_text_is_forgotten():
    def add(right):
        def wrong(request, tx, subscriber, kind):
            return right(replace(request, args=request.args[:1]), tx, subscriber, kind)

        return wrong

    with put_in(handlers.lists, "_add", add):
        yield


@contextmanager
def the_commit_clock_is_forgotten_over_a_restart():
    def load(right):
        def wrong(store, table, keys):
            return [] if table.name == "meta" else right(store, table, keys)

        return wrong

    with put_in(MemoryStore, "load", load):
        yield


@contextmanager
def whoever_asks_has_a_package():
    with put_in(handlers.packages, "_refuse", lambda _: lambda *args: say("package.already")):
        yield


@contextmanager
def route(row):
    with put_in(handlers, "ROUTES", lambda routes: {**routes, row.name: row}):
        yield


BUGS = (
    overdraft_by_one,
    trial_twice,
    missed_periods_charged,
    double_renewal_on_repeat,
    undo_forgets_a_table,
    key_not_compared,
    cancelling_keeps_the_whitelist_on,
    cancelled_after_29_days,
    a_number_that_comes_back_has_its_old_lists,
    later_requests_of_a_batch_do_not_see_earlier_ones,
    a_top_up_does_not_try_again,
    a_retry_forgets_since_when_it_failed,
    the_second_number_of_a_text_is_forgotten,
    the_commit_clock_is_forgotten_over_a_restart,
    whoever_asks_has_a_package,
)
