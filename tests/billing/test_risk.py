"""Risk rules are data; the strictest that is broken counts, and what makes no sense is told."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.billing.risk import (
    Facts,
    RiskRule,
    RiskRules,
    Then,
    When,
    decide_risk,
    is_stopped,
    rule_problems,
)
from telcod.days import MINUTE_MS
from tests.payment_world import large, often, stopped

pytestmark = pytest.mark.rule("PAY-6")

NOW = 10**12
FACTS = Facts("84903000001", "192.0.2.7", 500_000, "tok-1", "VCB")


def asked(*rules, **facts):
    return decide_risk(FACTS._replace(**facts), RiskRules(rules), now_ms=NOW)


def ago(*minutes):
    return [NOW - each * MINUTE_MS for each in minutes]


@pytest.mark.parametrize("when", ["card", "subscriber", "address"])
@pytest.mark.parametrize(
    ("minutes", "names"),
    [((), ()), ((1,), ()), ((1, 59), ("twice",)), ((1, 60), ()), ((0, 0, 0), ("twice",))],
)
def test_the_third_within_the_hour_breaks_a_rule_of_two(when, minutes, names):
    risk = asked(often(when, 2, name="twice"), times={When(when): ago(*minutes)})
    assert risk.names == names
    assert risk.then is (Then.REVIEW if names else None)


def test_the_times_of_a_card_are_not_those_of_an_address():
    assert asked(often("card", 1), times={When.ADDRESS: ago(1, 1)}).then is None


@pytest.mark.parametrize(("amount_vnd", "then"), [(499_999, None), (500_000, Then.REVIEW)])
def test_an_amount_counts_from_the_named_one_on(amount_vnd, then):
    assert asked(large(500_000), amount_vnd=amount_vnd).then is then


@pytest.mark.parametrize(
    ("what", "values", "stops"),
    [
        ("card", ["tok-1"], True),
        ("card", ["tok-2"], False),
        ("bank", ["ACB", "VCB"], True),
        ("subscriber", ["84903000001"], True),
        ("address", ["192.0.2.7"], True),
        ("address", ["192.0.2.0/24"], True),
        ("address", ["192.0.3.0/24", "2001:db8::/32"], False),
        ("address", [], False),
    ],
)
def test_a_stop_list_stops_what_it_names(what, values, stops):
    assert (asked(stopped(what, *values)).then is Then.REJECT) == stops


def test_the_strictest_answer_counts_and_all_names_are_told():
    risk = asked(large(1), stopped("bank", "VCB"), stopped("card", "tok-9"))
    assert risk == (Then.REJECT, ("large", "stop-bank"))


def test_what_is_not_known_breaks_no_rule():
    rules = [often("card", 1), stopped("card", "x"), stopped("bank", "y"), stopped("address", "z")]
    assert asked(*rules, card="", bank="", address="").then is None


@pytest.mark.parametrize(
    ("rule", "refuses"),
    [
        (stopped("subscriber", "84903000001"), True),
        (stopped("address", "192.0.2.0/24"), True),
        (stopped("subscriber", "84903000001", then="review"), False),
        (stopped("card", "tok-1"), False),  # Nobody knows the card before the gateway's page.
        (large(1, then="reject"), False),
    ],
)
def test_only_number_and_address_are_stopped_before_the_gateway(rule, refuses):
    assert is_stopped(FACTS, RiskRules((rule,))) == refuses


@given(st.lists(st.integers(0, 120), max_size=12), st.integers(1, 5), st.integers(1, 90))
def test_keeping_as_many_as_the_rules_may_count_changes_no_answer(minutes, count, within_min):
    rules = RiskRules((often("card", count, within_min=within_min),))
    newest = sorted(ago(*minutes))[-rules.counted_max(When.CARD) :]
    facts = [FACTS._replace(times={When.CARD: times}) for times in (ago(*minutes), newest)]
    assert len({decide_risk(each, rules, now_ms=NOW) for each in facts}) == 1


@pytest.mark.parametrize(
    ("rule", "keys"),
    [
        (often("card", 1), []),
        (stopped("address", "2001:db8::/32"), []),
        (often("card", 0), ["count"]),
        (often("card", 1, within_min=0), ["within_min"]),
        (large(0), ["amount_vnd"]),
        (
            RiskRule("x", When.AMOUNT, Then.REVIEW, 1, 1, 5, ("v",)),
            ["count", "within_min", "values"],
        ),
        (stopped("address", "192.0.2.256"), ["values"]),
        (stopped("card", ""), ["values"]),
    ],
)
def test_a_rule_that_makes_no_sense_is_named(rule, keys):
    found = [key.rpartition(".")[2] for key, _ in rule_problems(RiskRules((rule,)))]
    assert found == keys


def test_what_makes_no_sense_is_told_in_words():
    rules = (
        often("card", 0),
        large(0),
        RiskRule("all", When.AMOUNT, Then.REVIEW, 1, 0, 5, ("v",)),
        RiskRule("sum", When.STOP_BANK, Then.REVIEW, amount_vnd=1, values=("", "VCB")),
        stopped("address", "192.0.2.256"),
    )
    assert [why for _, why in rule_problems(RiskRules(rules))] == [
        "must be above 0 when = card",
        "must be above 0 when = amount",
        "must not be given when = amount",
        "must not be given when = amount",
        "must not be given when = stop_bank",
        "has an empty value",
        "'192.0.2.256' is no address or network",
    ]


def test_an_amount_of_one_dong_is_a_rule():
    assert not list(rule_problems(RiskRules((large(1),))))


def test_a_network_may_be_named_by_any_address_within():
    rules = (stopped("address", "192.0.2.77/24"),)
    assert asked(*rules, address="192.0.2.7").then is Then.REJECT
    assert asked(*rules, address="192.0.3.7").then is None


def test_as_many_payments_are_read_as_the_most_patient_rule_counts_and_one_more():
    rules = RiskRules((often("card", 3), often("card", 5), often("address", 9), large(1)))
    read = [rules.counted_max(when) for when in (When.CARD, When.ADDRESS, When.SUBSCRIBER)]
    assert read == [6, 10, 1]
    counted = {when for when in When if rules.looks_at(when)}
    assert counted == {When.CARD, When.ADDRESS, When.AMOUNT}


def test_two_rules_of_one_name_are_told():
    problems = list(rule_problems(RiskRules((large(5), large(6)))))
    assert problems == [("rule[1] large", "another rule has this name")]


@pytest.mark.parametrize(
    "row",
    [
        {"name": "a", "when": "moon", "then": "review"},
        {"name": "a", "when": "amount", "then": "accept"},
        {"name": "A b", "when": "amount", "then": "review"},
        {"name": "a", "when": "amount", "then": "review", "sum": 1},
        {"when": "amount", "then": "review"},
    ],
)
def test_what_is_no_rule_is_not_read(row):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(row, RiskRule)
