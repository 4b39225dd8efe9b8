"""Mistakes with the hint after a failed call that could have been made.

As in `tests.planted.bugs`: each is put into the running code for as long as a `with` lasts.
"""

from contextlib import contextmanager

import msgspec

import handlers.info
import handlers.network
import handlers.staff
import telcod.network
from telcod.days import DAY_MS, HOUR_MS, local_ms
from telcod.rows import RECENT, SUBSCRIBER, State
from tests.planted.bugs import put_in

replace = msgspec.structs.replace


def in_hints(name, wrong):
    """A `with` during which the hints use something else under this name."""
    return put_in(handlers.network, name, wrong)


@contextmanager
def a_repeated_event_is_a_new_one():
    def call_failed(right):
        return lambda *args, **more: replace(right(*args, **more), key="")

    with put_in(telcod.network, "call_failed", call_failed):
        yield


@contextmanager
def an_hour_is_a_millisecond_longer():
    def again(right):
        def wrong(times, *, within_ms, **more):
            return right(times, within_ms=within_ms + (within_ms == HOUR_MS), **more)

        return wrong

    with in_hints("decide_again", again):
        yield


@contextmanager
def the_day_is_the_calendars():
    def again(right):
        def wrong(times, *, now_ms, within_ms, **more):
            if within_ms == DAY_MS:
                within_ms = local_ms(now_ms) % DAY_MS + 1
            return right(times, now_ms=now_ms, within_ms=within_ms, **more)

        return wrong

    with in_hints("decide_again", again):
        yield


@contextmanager
def calls_that_fail_meanwhile_prolong_the_wait():
    def once_more(right):
        def wrong(tx, caller):
            may = right(tx, caller)
            row = tx.get(RECENT, f"hint:{caller.msisdn}")
            if not may and row is not None:
                before = row.times.rpartition(",")[0]
                tx.put(RECENT, replace(row, times=f"{before},{tx.now_ms}".lstrip(",")))
            return may

        return wrong

    with in_hints("_once_more", once_more):
        yield


@contextmanager
def tc_is_answered_and_forgotten():
    def notices(right):
        def wrong(tx, subscriber, *, wanted):
            mark = tx.mark()
            reply = right(tx, subscriber, wanted=wanted)
            tx.undo(mark)
            return reply

        return wrong

    with put_in(handlers.info, "_notices", notices):
        yield


@contextmanager
def a_new_owner_has_stopped_what_the_last_one_did():
    def close(right):
        def wrong(tx, subscriber):
            right(tx, subscriber)
            closed = tx.get(SUBSCRIBER, subscriber.msisdn)
            tx.put(SUBSCRIBER, replace(closed, notices=subscriber.notices))

        return wrong

    with put_in(handlers.staff, "_close", close):
        yield


@contextmanager
def who_may_not_call_is_told_as_well():
    with in_hints("REACHED", lambda _: frozenset(State)):
        yield


@contextmanager
def whoever_was_called_is_named():
    with in_hints("_can_pay", lambda _: lambda tx, caller, number: True):
        yield


@contextmanager
def a_call_to_the_service_counts_as_an_ordinary_one():
    with in_hints("_is_short_code", lambda _: lambda dialled: False):
        yield


BUGS = (
    a_repeated_event_is_a_new_one,
    an_hour_is_a_millisecond_longer,
    the_day_is_the_calendars,
    calls_that_fail_meanwhile_prolong_the_wait,
    tc_is_answered_and_forgotten,
    a_new_owner_has_stopped_what_the_last_one_did,
    who_may_not_call_is_told_as_well,
    whoever_was_called_is_named,
    a_call_to_the_service_counts_as_an_ordinary_one,
)
