"""Mistakes with card payments that could have been made.

As in `tests.planted.bugs`: each is put into the running code for as long as a `with` lasts.
"""

from contextlib import contextmanager

import msgspec

import handlers.clearing
import handlers.payments
import telcod.billing.payments
from telcod.billing.accounts import debt_account
from telcod.billing.payments import Result, Verdict, counted
from telcod.days import business_date
from telcod.rows import ACCOUNT, CENTRE, LIMIT_COUNTER, PAYMENT, SUBSCRIBER
from tests.planted.bugs import put_in
from tests.planted.call_bugs import before

replace = msgspec.structs.replace


def in_payments(name, wrong):
    """A `with` during which the gateway's side uses something else under this name."""
    return put_in(handlers.payments, name, wrong)


def in_clearing(name, wrong):
    """The same for the money's side."""
    return put_in(handlers.clearing, name, wrong)


def hears(wrong_verdict):
    """The gateway's word is judged wrongly: `wrong_verdict(verdict, payment, said)`."""

    def result(right):
        return lambda payment, said, *rest, **more: wrong_verdict(
            right(payment, said, *rest, **more), payment, said
        )

    return in_payments("decide_result", result)


# -- limits


@contextmanager
def a_decline_keeps_the_slot():
    def count(right):
        return lambda counter, purpose, vnd, times: (
            counter if times < 0 else right(counter, purpose, vnd, times)
        )

    with in_payments("counted", count):
        yield


@contextmanager
def a_slot_goes_back_today():
    def end(right):
        return lambda tx, payment, *rest: right(
            tx, replace(payment, day=business_date(tx.now_ms)), *rest
        )

    with in_payments("_end", end):
        yield


@contextmanager
def a_day_has_six_slots():
    with put_in(telcod.billing.payments, "PAYMENTS_PER_DAY_MAX", lambda _: 6):
        yield


@contextmanager
def a_bill_may_be_one_dong_more():
    with put_in(telcod.billing.payments, "BILLS_VND_PER_DAY_MAX", lambda right: right + 1):
        yield


@contextmanager
def topups_may_be_one_dong_more():
    def create(right):
        def wrong(subscriber, counter, purpose, amount_vnd, limits, **more):
            wider = replace(limits, topups_vnd_per_day_max=limits.topups_vnd_per_day_max + 1)
            return right(subscriber, counter, purpose, amount_vnd, wider, **more)

        return wrong

    with in_payments("decide_create", create):
        yield


@contextmanager
def a_second_attempt_while_the_first_is_unknown():
    with in_payments("_is_unknown_pending", lambda _: lambda *args: False):
        yield


@contextmanager
def fraud_gives_the_slot_back():
    def cancel(right):
        def wrong(request, tx, payment):
            counter = tx.get(LIMIT_COUNTER, (payment.msisdn, payment.day))
            less = counted(counter, payment.purpose, payment.amount_vnd, -1)
            tx.put(LIMIT_COUNTER, less)
            return right(request, tx, replace(payment, slot=0))

        return wrong

    with in_clearing("_cancel", cancel):
        yield


# -- the gateway's word


@contextmanager
def a_second_yes_collects_again_during_the_review():
    def wrong(verdict, payment, said):
        again = payment.state == "in_review" and verdict is Verdict.NOTHING
        return Verdict.AUTHORISE if again and said.result is Result.AUTHORISED else verdict

    with hears(wrong):
        yield


@contextmanager
def silence_expires():
    def wrong(verdict, payment, said):
        return Verdict.EXPIRE if verdict is Verdict.WAIT and said.asked else verdict

    with hears(wrong):
        yield


@contextmanager
def a_yes_after_no_is_cleared():
    with hears(lambda verdict, *_: Verdict.AUTHORISE if verdict is Verdict.LATE else verdict):
        yield


@contextmanager
def a_no_after_yes_ends_it():
    def wrong(verdict, payment, said):
        contrary = verdict is Verdict.CONTRADICTS and said.result is Result.DECLINED
        return Verdict.DECLINE if contrary and payment.state == "in_review" else verdict

    with hears(wrong):
        yield


@contextmanager
def any_amount_will_do():
    def result(right):
        return lambda payment, said, *rest, **more: right(
            payment, said._replace(amount_vnd=payment.amount_vnd), *rest, **more
        )

    with in_payments("decide_result", result):
        yield


@contextmanager
def nobody_paid_yet_ends_it():
    def expires(right):
        return lambda payment, limits: right(payment, limits) - 1

    with put_in(telcod.billing.payments, "expires_ms", expires):
        yield


@contextmanager
def the_patience_never_grows():
    def inquiry(right):
        return lambda asked, *rest, **more: right(0, *rest, **more)

    with in_payments("next_inquiry_ms", inquiry):
        yield


# -- risk


@contextmanager
def a_rejected_one_is_not_voided():
    def reject(right):
        def wrong(request, tx, was, payment, reason):
            rejected = right(request, tx, was, payment, reason)
            return handlers.clearing.keep(tx, rejected, replace(rejected, voiding=0, next_at=0))

        return wrong

    with in_clearing("_reject", reject):
        yield


@contextmanager
def a_rejection_by_a_person_leaves_the_money_in_transit():
    def move(right):
        def wrong(tx, payment, debit, credit, kind, *rest, **more):
            return (
                None
                if kind == "payment.voided"
                else right(tx, payment, debit, credit, kind, *rest, **more)
            )

        return wrong

    with in_clearing("_move", move):
        yield


@contextmanager
def a_card_is_not_remembered():
    with in_clearing("remember", lambda _: lambda *args: None):
        yield


# -- clearing


@contextmanager
def a_closed_centre_clears():
    def spoil(request, tx):
        payment = tx.get(PAYMENT, request.args[0])
        row = tx.get(CENTRE, payment.centre)
        if row is not None and payment.next_at <= tx.now_ms:
            tx.put(CENTRE, replace(row, clearing_open=1))

    with before("payment.due", spoil):
        yield


@contextmanager
def the_next_owner_gets_the_last_ones_money():
    def account(right):
        def wrong(tx, payment):
            subscriber = tx.get(SUBSCRIBER, payment.msisdn)
            return right(tx, replace(payment, life=subscriber.life))

        return wrong

    with in_clearing("_account", account):
        yield


@contextmanager
def the_alarm_comes_again_and_again():
    def retry(right):
        return lambda payment, *rest, **more: right(replace(payment, alarmed=0), *rest, **more)

    with in_clearing("decide_retry", retry):
        yield


@contextmanager
def the_deadline_is_missed_by_one_try():
    def retry(right):
        return lambda *args, **more: right(*args, **more)._replace(deadline=False)

    with in_clearing("decide_retry", retry):
        yield


@contextmanager
def a_topup_does_not_wake_a_package():
    with in_clearing("retry_after_topup", lambda _: lambda *args: None):
        yield


@contextmanager
def a_blocked_one_is_let_in_with_a_debt():
    def paid(right):
        def wrong(tx, payment, subscriber):
            before_emit = tx.get(ACCOUNT, debt_account(subscriber.msisdn))
            if subscriber.state == "debt_blocked" and before_emit.posted < 0:
                tx.emit("subscriber", "unblock_requested", subscriber.msisdn)
            right(tx, payment, subscriber)

        return wrong

    with in_clearing("_bill_is_paid", paid):
        yield


# -- cancellation


@contextmanager
def one_person_is_enough():
    def spoil(request, tx):
        payment = tx.get(PAYMENT, request.args[0])
        if payment is not None and payment.cancel_by:
            tx.put(PAYMENT, replace(payment, cancel_by="somebody else"))

    with before("payment.confirm_cancel", spoil):
        yield


@contextmanager
def what_was_spent_is_forgiven():
    def refund(right):
        def wrong(amount_vnd, spendable_vnd):
            found = right(amount_vnd, spendable_vnd)
            return found if spendable_vnd is None else found._replace(debt_vnd=0)

        return wrong

    with in_clearing("decide_refund", refund):
        yield


@contextmanager
def the_next_owner_pays_for_the_last_ones_fraud():
    def sources(right):
        def wrong(tx, payment, credited):
            subscriber = tx.get(SUBSCRIBER, payment.msisdn)
            return right(tx, replace(payment, life=subscriber.life), credited)

        return wrong

    with in_clearing("_sources", sources):
        yield


BUGS = (
    a_decline_keeps_the_slot,
    a_slot_goes_back_today,
    a_day_has_six_slots,
    a_bill_may_be_one_dong_more,
    topups_may_be_one_dong_more,
    a_second_attempt_while_the_first_is_unknown,
    fraud_gives_the_slot_back,
    a_second_yes_collects_again_during_the_review,
    silence_expires,
    a_yes_after_no_is_cleared,
    a_no_after_yes_ends_it,
    any_amount_will_do,
    nobody_paid_yet_ends_it,
    the_patience_never_grows,
    a_rejected_one_is_not_voided,
    a_rejection_by_a_person_leaves_the_money_in_transit,
    a_card_is_not_remembered,
    a_closed_centre_clears,
    the_next_owner_gets_the_last_ones_money,
    the_alarm_comes_again_and_again,
    the_deadline_is_missed_by_one_try,
    a_topup_does_not_wake_a_package,
    a_blocked_one_is_let_in_with_a_debt,
    one_person_is_enough,
    what_was_spent_is_forgiven,
    the_next_owner_pays_for_the_last_ones_fraud,
)
