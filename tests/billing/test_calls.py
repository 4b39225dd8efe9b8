"""What a call costs, how long it may last, what its end comes to: against a second reckoning."""

from fractions import Fraction
from math import floor

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telcod.billing.accounts import main_account
from telcod.billing.calls import (
    NEUTRAL_PROMPT,
    PROMPTS,
    CallLimits,
    Offer,
    Refused,
    affordable_s,
    decide_end,
    decide_grant,
    decide_late_end,
    decide_offer,
    price_vnd,
)
from telcod.billing.tariffs import VoiceTariff
from telcod.rows import Account, Subscriber

A, B = 84903000001, 84903000002
SHIPPED = VoiceTariff(1_500, 6)
LIMITS = CallLimits()
WHOLE = CallLimits(grant="whole")
SUBSCRIBER = Subscriber(A, "prepaid", "active", "vi", 1, 1, 0, 1)

tariffs = st.builds(VoiceTariff, st.integers(0, 5_000), st.integers(1, 60))
seconds = st.one_of(st.integers(0, 70), st.integers(0, 4_000))
amounts = st.integers(0, 200_000)


def oracle_vnd(talked_s, tariff):
    """Second by second, as PFM-1 says it; only the whole is rounded, down."""
    if talked_s == 0:
        return 0
    a_second = Fraction(tariff.minute_vnd, 60)
    block = a_second * tariff.first_block_s
    return floor(block + a_second * max(0, talked_s - tariff.first_block_s))


# ------------------------------------------------------------------------------------------ price


@pytest.mark.rule("PFM-1")
@pytest.mark.parametrize(
    ("talked_s", "price"),
    [
        (-1, 0),
        (0, 0),
        (1, 150),
        (5, 150),
        (6, 150),
        (7, 175),
        (59, 1_475),
        (60, 1_500),
        (61, 1_525),
        (3_600, 90_000),
    ],
)
def test_a_call_costs_what_the_service_description_says(talked_s, price):
    assert price_vnd(talked_s, SHIPPED) == price


@pytest.mark.rule("PFM-1")
@given(seconds, tariffs)
def test_the_price_is_the_oracles(talked_s, tariff):
    assert price_vnd(talked_s, tariff) == oracle_vnd(talked_s, tariff)


@pytest.mark.rule("PFM-1")
@given(seconds, tariffs)
def test_a_second_more_never_costs_less(talked_s, tariff):
    assert price_vnd(talked_s, tariff) <= price_vnd(talked_s + 1, tariff)


@pytest.mark.rule("PFM-15")
@given(amounts, tariffs.filter(lambda tariff: tariff.minute_vnd))
@example(149, SHIPPED)
@example(150, SHIPPED)
@example(174, SHIPPED)
@example(175, SHIPPED)
def test_an_amount_pays_so_many_seconds_and_not_one_more(amount_vnd, tariff):
    talk_s = affordable_s(amount_vnd, tariff)
    assert oracle_vnd(talk_s, tariff) <= amount_vnd
    assert oracle_vnd(talk_s + 1, tariff) > amount_vnd


@pytest.mark.rule("PFM-15")
def test_what_costs_nothing_needs_no_money():
    free = VoiceTariff(0, 6)
    assert affordable_s(0, free) >= LIMITS.call_max_s
    assert decide_grant(0, 0, 0, 0, free, LIMITS) == (600, 0, False)


# ------------------------------------------------------------------------------------------ offer


def offer(*, caller=None, payer=None, balance_vnd=10_000, least_vnd=150, **said):
    """A's request as the rules see it; `caller` and `payer` are what differs from a usual one."""
    return decide_offer(
        None if caller == "off_net" else msgspec.structs.replace(SUBSCRIBER, **(caller or {})),
        None
        if payer == "off_net"
        else msgspec.structs.replace(SUBSCRIBER, **{"msisdn": B, **(payer or {})}),
        None if balance_vnd is None else Account(main_account(B), balance_vnd, 0, 0, 0),
        least_vnd,
        LIMITS,
        **{"listed": None, "package_works": False, "too_often": False, **said},
    )


@pytest.mark.rule("PFM-4")
@pytest.mark.parametrize(
    ("wrong", "refused"),
    [
        ({"caller": "off_net"}, "caller_not_served"),
        ({"caller": {"state": "closed"}}, "caller_not_served"),
        ({"caller": {"state": "suspended"}}, "caller_not_served"),
        ({"caller": {"state": "debt_blocked"}}, "caller_not_served"),
        ({"caller": {"kind": "postpaid"}}, "caller_not_served"),
        ({"payer": "off_net"}, "payer_not_served"),
        ({"payer": {"state": "closed"}}, "payer_not_served"),
        ({"payer": {"state": "out_of_money"}}, "payer_not_served"),
        ({"payer": {"state": "suspended"}}, "payer_not_served"),
        ({"payer": {"kind": "postpaid"}}, "payer_not_served"),
        ({"payer": {"msisdn": A}}, "own_number"),
    ],
)
def test_both_must_be_served_and_not_the_same(wrong, refused):
    assert offer(**wrong) == Offer(Refused(refused))


@pytest.mark.rule("PFM-4", "PFM-10")
def test_a_caller_without_money_may_ask():
    assert offer(caller={"state": "out_of_money"}) == Offer()


@pytest.mark.rule("PFM-10")
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, Offer()),
        ({"listed": "white", "package_works": True}, Offer(connect=True)),
        ({"listed": "white"}, Offer()),
        ({"package_works": True}, Offer()),
        ({"listed": "black", "package_works": True}, Offer(Refused.BLACKLISTED)),
        ({"too_often": True}, Offer(Refused.TOO_OFTEN)),
        ({"balance_vnd": 149}, Offer(Refused.NO_MONEY)),
        ({"balance_vnd": 150}, Offer()),
        ({"balance_vnd": None}, Offer(Refused.NO_MONEY)),
        ({"balance_vnd": 0, "least_vnd": 0}, Offer()),
        ({"balance_vnd": 149, "listed": "white", "package_works": True}, Offer(Refused.NO_MONEY)),
    ],
)
def test_a_request_is_decided_by_lists_rates_and_money(said, expected):
    assert offer(**said) == expected


@pytest.mark.rule("PFM-10")
def test_reasons_are_looked_for_in_their_order():
    """Everything is wrong at once; what is mended shows the next reason."""
    wrong = {
        "caller": {"state": "suspended"},
        "payer": {"state": "suspended"},
        "listed": "black",
        "too_often": True,
        "balance_vnd": 0,
    }
    found = []
    for mended in ("caller", "payer", "listed", "too_often", "balance_vnd"):
        found.append(offer(**wrong).refused)
        del wrong[mended]
    assert found == [
        Refused.CALLER_NOT_SERVED,
        Refused.PAYER_NOT_SERVED,
        Refused.BLACKLISTED,
        Refused.TOO_OFTEN,
        Refused.NO_MONEY,
    ]
    assert offer() == Offer()


@pytest.mark.rule("PFM-13", "LST-4")
def test_only_too_often_and_not_served_are_told_apart():
    heard = {reason: PROMPTS.get(reason, NEUTRAL_PROMPT) for reason in Refused}
    neutral = {reason for reason, prompt in heard.items() if prompt == NEUTRAL_PROMPT}
    assert neutral >= {
        Refused.BLACKLISTED,
        Refused.NO_MONEY,
        Refused.DECLINED,
        Refused.SILENT,
        Refused.HUNG_UP,
        Refused.EXPIRED,
    }
    assert set(heard.values()) == {"refused", "refused_too_often", "refused_not_served"}
    assert [reason for reason in Refused if heard[reason] == "refused_too_often"] == ["too_often"]


# ------------------------------------------------------------------------------------------ grant


@pytest.mark.rule("PFM-15")
@pytest.mark.parametrize(
    ("spendable_vnd", "limits", "expected"),
    [
        (149, LIMITS, (0, 0, True)),
        (150, LIMITS, (6, 150, True)),
        (175, LIMITS, (7, 175, True)),
        (14_999, LIMITS, (599, 14_975, True)),
        (15_000, LIMITS, (600, 15_000, False)),
        (1_000_000, LIMITS, (600, 15_000, False)),
        (14_999, WHOLE, (599, 14_975, True)),
        (90_000, WHOLE, (3_600, 90_000, True)),
        (1_000_000, WHOLE, (3_600, 90_000, True)),
    ],
)
def test_the_first_grant_is_a_slice_or_what_the_balance_pays(spendable_vnd, limits, expected):
    assert decide_grant(0, 0, 0, spendable_vnd, SHIPPED, limits) == expected


@pytest.mark.rule("PFM-15")
def test_a_block_of_one_second_may_be_all_that_is_granted():
    by_second = VoiceTariff(60, 1)
    assert decide_grant(0, 0, 0, 1, by_second, LIMITS) == (1, 1, True)
    assert decide_grant(0, 0, 0, 0, by_second, LIMITS) == (0, 0, True)


@pytest.mark.rule("PFM-15")
@pytest.mark.parametrize(
    ("used_s", "granted_s", "spendable_vnd", "expected"),
    [
        (300, 600, 1_000_000, (900, 22_500, False)),
        (300, 600, 0, (600, 15_000, True)),
        (300, 600, 24, (600, 15_000, True)),
        (300, 600, 25, (601, 15_025, True)),
        (0, 600, 1_000_000, (600, 15_000, False)),
        (3_100, 3_500, 1_000_000, (3_600, 90_000, True)),
        (3_600, 3_600, 1_000_000, (3_600, 90_000, True)),
        (9_999, 600, 0, (600, 15_000, True)),
    ],
)
def test_a_grant_grows_by_what_is_used_as_far_as_money_and_limit_go(
    used_s, granted_s, spendable_vnd, expected
):
    held_vnd = price_vnd(granted_s, SHIPPED)
    assert decide_grant(used_s, granted_s, held_vnd, spendable_vnd, SHIPPED, LIMITS) == expected


@pytest.mark.rule("PFM-15")
@given(st.lists(st.tuples(seconds, amounts), min_size=1, max_size=6), tariffs, st.booleans())
def test_a_grant_never_shrinks_and_never_holds_more_than_there_is(steps, tariff, whole):
    granted_s = held_vnd = 0
    for used_s, spendable_vnd in steps:
        grant = decide_grant(
            used_s, granted_s, held_vnd, spendable_vnd, tariff, WHOLE if whole else LIMITS
        )
        assert granted_s <= grant.seconds <= 3_600
        assert held_vnd <= grant.hold_vnd <= held_vnd + spendable_vnd
        assert grant.hold_vnd == oracle_vnd(grant.seconds, tariff)
        granted_s, held_vnd = grant.seconds, grant.hold_vnd


# -------------------------------------------------------------------------------------------- end


@pytest.mark.rule("PFM-16")
@given(seconds, seconds, tariffs)
def test_an_end_charges_the_use_but_never_more_than_was_granted(used_s, granted_s, tariff):
    end = decide_end(used_s, granted_s, tariff)
    assert end.billed_s == min(used_s, granted_s)
    assert end.charged_vnd == oracle_vnd(min(used_s, granted_s), tariff)
    assert end.charged_vnd + end.written_off_vnd == oracle_vnd(used_s, tariff)
    assert end.written_off_vnd >= 0


@pytest.mark.rule("PFM-17")
@pytest.mark.parametrize(
    ("used_s", "charged_vnd", "spendable_vnd", "expected"),
    [
        (60, 750, 10_000, (60, 750, 0)),
        (60, 750, 750, (60, 750, 0)),
        (60, 750, 749, (60, 749, 1)),
        (60, 750, 0, (60, 0, 750)),
        (60, 1_500, 10_000, (60, 0, 0)),
        (30, 1_500, 10_000, (30, 0, 0)),
        (700, 750, 100_000, (600, 14_250, 2_500)),
        (700, 15_000, 100_000, (600, 0, 2_500)),
    ],
)
def test_a_late_end_adds_the_difference_that_the_balance_bears(
    used_s, charged_vnd, spendable_vnd, expected
):
    assert decide_late_end(used_s, 600, charged_vnd, spendable_vnd, SHIPPED) == expected


@pytest.mark.rule("PFM-17")
@given(seconds, seconds, st.integers(0, 4_000), amounts, tariffs)
def test_late_or_not_the_talk_is_paid_or_written_off_to_the_last_dong(
    reported_s, more_s, granted_s, spendable_vnd, tariff
):
    closed = decide_end(reported_s, granted_s, tariff)
    used_s = reported_s + more_s
    late = decide_late_end(used_s, granted_s, closed.charged_vnd, spendable_vnd, tariff)
    charged_vnd = closed.charged_vnd + late.extra_vnd
    assert 0 <= late.extra_vnd <= spendable_vnd
    assert charged_vnd <= oracle_vnd(granted_s, tariff)
    assert charged_vnd + late.written_off_vnd == oracle_vnd(used_s, tariff)
    # What supervision wrote off is a part of what is written off in the end.
    assert late.written_off_vnd >= closed.written_off_vnd
