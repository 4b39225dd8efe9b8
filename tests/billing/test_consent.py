"""A key that was offered is an answer; all else is a question again, or no."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.billing.calls import Refused
from telcod.billing.consent import (
    ENDINGS,
    RESULTS,
    Accept,
    AskAgain,
    Refuse,
    decide_consent,
)

pytestmark = pytest.mark.rule("PFM-12")

WITH_PACKAGE, WITHOUT = "1234", "124"
ASKS_MAX = 3


def react(result, digit="", *, keys=WITH_PACKAGE, asks=1):
    return decide_consent(result, digit, keys=keys, asks=asks, asks_max=ASKS_MAX)


@pytest.mark.parametrize(
    ("digit", "expected"),
    [
        ("1", Accept(whitelist=False)),
        ("2", Refuse(Refused.DECLINED, blacklist=False)),
        ("3", Accept(whitelist=True)),
        ("4", Refuse(Refused.DECLINED, blacklist=True)),
    ],
)
@pytest.mark.parametrize("asks", [1, 2, 3])
def test_each_key_means_one_thing_whenever_it_is_pressed(digit, expected, asks):
    assert react("digit", digit, asks=asks) == expected


def test_key_3_is_no_answer_when_it_was_not_offered():
    assert react("digit", "3", keys=WITHOUT) == AskAgain()
    assert react("digit", "3", keys=WITHOUT, asks=3) == Refuse(Refused.WRONG_KEYS, blacklist=False)


@pytest.mark.parametrize("digit", ["", "0", "5", "9", "*", "#", "12", "123", "1 ", "١", "yes"])
def test_another_key_is_asked_about_again_twice_and_then_refused(digit):
    assert [react("digit", digit, asks=asks) for asks in (1, 2)] == [AskAgain(), AskAgain()]
    assert react("digit", digit, asks=3) == Refuse(Refused.WRONG_KEYS, blacklist=False)


@pytest.mark.parametrize("result", ["silence", "", "unheard-of", "DIGIT"])
def test_silence_and_what_nobody_knows_are_asked_again_twice_and_then_refused(result):
    assert [react(result, "1", asks=asks) for asks in (1, 2)] == [AskAgain(), AskAgain()]
    assert react(result, "1", asks=3) == Refuse(Refused.SILENT, blacklist=False)


@pytest.mark.parametrize(("result", "reason"), ENDINGS.items())
def test_whoever_is_not_reached_is_not_asked_again(result, reason):
    assert react(result, "1") == Refuse(reason, blacklist=False)


@given(
    st.one_of(st.sampled_from(sorted(RESULTS)), st.text(max_size=8)),
    st.one_of(st.sampled_from("0123456789*#"), st.text(max_size=3)),
    st.sampled_from([WITH_PACKAGE, WITHOUT]),
    st.integers(1, 5),
)
def test_only_an_offered_key_1_or_3_is_consent(result, digit, keys, asks):
    decision = react(result, digit, keys=keys, asks=asks)
    agreed = result == "digit" and digit in {"1", "3"} and digit in keys
    assert isinstance(decision, Accept) is agreed
    assert not isinstance(decision, AskAgain) or asks < ASKS_MAX
