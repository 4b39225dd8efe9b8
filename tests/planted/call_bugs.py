"""Mistakes with receiver-paid calls that could have been made; some of them were.

As in `tests.planted.bugs`: each is put into the running code for as long as a `with` lasts.
"""

from contextlib import ExitStack, contextmanager

import msgspec

import handlers
import handlers.calls
import handlers.lists
import telcod.billing.calls
import telcod.check_calls
from handlers.calls import row_id
from telcod.billing.accounts import main_account
from telcod.billing.calls import Refused
from telcod.billing.consent import Accept, Refuse
from telcod.rows import ACCOUNT, ASKING, CALL, CallState
from telcod.tx import Tx
from tests.planted.bugs import put_in, route

replace = msgspec.structs.replace


def in_calls(name, wrong):
    """A `with` during which the handlers of calls use something else under this name."""
    return put_in(handlers.calls, name, wrong)


@contextmanager
def before(name, spoil):
    """The handler of a route finds what `spoil(request, tx)` has left."""
    row = handlers.ROUTES[name]

    def wrong(request, tx):
        spoil(request, tx)
        return row.handler(request, tx)

    with route(row._replace(handler=wrong)):
        yield


# -- money


@contextmanager
def the_charge_is_not_capped_by_the_grant():
    def end(right):
        return lambda used_s, granted_s, tariff: right(used_s, max(used_s, granted_s), tariff)

    with in_calls("decide_end", end):
        yield


@contextmanager
def a_late_end_charges_everything_again():
    def late(right):
        return lambda used_s, granted_s, charged_vnd, *rest: right(used_s, granted_s, 0, *rest)

    with in_calls("decide_late_end", late):
        yield


@contextmanager
def a_hold_outlives_a_call_that_cost_nothing():
    def charge(right):
        def wrong(tx, call, charged_vnd, **more):
            if charged_vnd:
                right(tx, call, charged_vnd, **more)

        return wrong

    with in_calls("_charge", charge):
        yield


@contextmanager
def an_extension_ignores_other_holds():
    def spendable(right):
        def wrong(tx, payer):
            account = tx.get(ACCOUNT, main_account(payer))
            return account.posted if right(tx, payer) else 0

        return wrong

    with in_calls("_spendable_vnd", spendable):
        yield


@contextmanager
def the_second_after_the_block_is_free():
    def price(right):
        return lambda seconds, tariff: right(
            seconds - (seconds == tariff.first_block_s + 1), tariff
        )

    with ExitStack() as stack:
        # The checker as well: it must not be the only one to notice.
        for module in (telcod.billing.calls, handlers.calls, telcod.check_calls):
            stack.enter_context(put_in(module, "price_vnd", price))
        yield


@contextmanager
def a_lower_report_lowers_the_charge():
    def used(right):
        def wrong(tx, call, reported_s, at, **more):
            right_s = right(tx, call, reported_s, at, **more)
            return min(right_s, reported_s) if reported_s >= 0 else right_s

        return wrong

    with in_calls("_used_s", used):
        yield


@contextmanager
def supervision_charges_the_grant():
    def spoil(request, tx):
        call = tx.get(CALL, request.args[0])
        if call is not None and call.state == CallState.TALKING and call.due_at <= tx.now_ms:
            tx.put(CALL, replace(call, used_s=call.granted_s))

    with before("clock.call", spoil):
        yield


@contextmanager
def a_call_is_priced_when_it_ends():
    with in_calls("_tariff", lambda _: lambda tx, call: tx.rules.tariffs.at(tx.now_ms)):
        yield


@contextmanager
def talk_beyond_the_grant_is_lost_from_the_books():
    with in_calls("_write_off", lambda _: lambda tx, call, amount_vnd: None):
        yield


@contextmanager
def a_late_charge_comes_without_a_receipt():
    def receipt(right):
        def wrong(tx, call, *rest):
            if not (call.suspect and call.ended_at):
                right(tx, call, *rest)

        return wrong

    with in_calls("_receipt", receipt):
        yield


@contextmanager
def a_grant_does_not_see_that_the_payer_was_suspended():
    def spendable(right):
        def wrong(tx, payer):
            account = tx.get(ACCOUNT, main_account(payer))
            return account.spendable_vnd if account is not None else 0

        return wrong

    with in_calls("_spendable_vnd", spendable):
        yield


# -- consent


@contextmanager
def the_third_silence_is_consent():
    def consent(right):
        def wrong(*args, **more):
            decision = right(*args, **more)
            silent = isinstance(decision, Refuse) and decision.reason is Refused.SILENT
            return Accept(whitelist=False) if silent else decision

        return wrong

    with in_calls("decide_consent", consent):
        yield


@contextmanager
def consent_counts_after_its_deadline():
    def spoil(request, tx):
        call = tx.get(CALL, row_id(request, request.args[0]))
        if call is not None and call.state == CallState.ASKING:
            tx.put(CALL, replace(call, due_at=tx.now_ms + 1))

    with before("call.consent", spoil):
        yield


@contextmanager
def a_second_caller_is_asked_about_too():
    def get(right):
        def wrong(tx, table, key):
            return None if table is ASKING else right(tx, table, key)

        return wrong

    with put_in(Tx, "get", get):
        yield


@contextmanager
def key_3_does_not_whitelist():
    def listing(right):
        def wrong(tx, owner, number, kind):
            if kind != "white":
                right(tx, owner, number, kind)

        return wrong

    with in_calls("put_on_list", listing):
        yield


@contextmanager
def a_closed_number_gets_a_blacklist():
    with put_in(handlers.lists, "on_net", lambda _: lambda subscriber: True):
        yield


@contextmanager
def a_suspended_package_still_pays():
    def working(right):
        return lambda row: row is not None and row.status != "cancelled"

    with in_calls("is_working", working):
        yield


@contextmanager
def requests_are_not_counted():
    with in_calls("count_request", lambda _: lambda *args: None):
        yield


@contextmanager
def a_hears_that_he_is_blacklisted():
    def prompts(right):
        return {**right, Refused.BLACKLISTED: "refused_not_served"}

    with in_calls("PROMPTS", prompts):
        yield


@contextmanager
def platforms_share_their_call_ids():
    with in_calls("row_id", lambda _: lambda request, call_id: f"pbx:{call_id}"):
        yield


BUGS = (
    the_charge_is_not_capped_by_the_grant,
    a_late_end_charges_everything_again,
    a_hold_outlives_a_call_that_cost_nothing,
    an_extension_ignores_other_holds,
    the_second_after_the_block_is_free,
    a_lower_report_lowers_the_charge,
    supervision_charges_the_grant,
    a_call_is_priced_when_it_ends,
    talk_beyond_the_grant_is_lost_from_the_books,
    a_late_charge_comes_without_a_receipt,
    a_grant_does_not_see_that_the_payer_was_suspended,
    the_third_silence_is_consent,
    consent_counts_after_its_deadline,
    a_second_caller_is_asked_about_too,
    key_3_does_not_whitelist,
    a_closed_number_gets_a_blacklist,
    a_suspended_package_still_pays,
    requests_are_not_counted,
    a_hears_that_he_is_blacklisted,
    platforms_share_their_call_ids,
)
