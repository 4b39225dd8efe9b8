"""What goes wrong has the same words at every door."""

import pytest

from telcod.errors import (
    KeyReused,
    LedgerCorrupt,
    Overloaded,
    Refusal,
    StoreFailed,
    StoreFull,
    TelcodError,
    Unavailable,
)
from telcod.problems import Malformed, TooLarge, told
from telcod.web.problems import problem_of
from telcod.web.staff_requests import Refused

pytestmark = pytest.mark.rule("HTTP-1", "MQTT-1")


@pytest.mark.parametrize(
    "error",
    [
        *(Refused(refusal, "so it is") for refusal in Refusal),
        Refused(Refusal.MALFORMED, "is wrong", field="caller"),
        Malformed("op: is wrong", field="op"),
        TooLarge("the body is larger than 3 bytes"),
        Overloaded("too many"),
        Unavailable("not now", what_to_do="Wait."),
        KeyReused("k was used"),
        StoreFull("disk full at /dev/sda"),
        StoreFailed("fsync"),
        TelcodError("broken at line 3"),
        LedgerCorrupt("1 != 2"),
        ZeroDivisionError("secret"),
    ],
    ids=repr,
)
def test_http_and_mqtt_tell_a_problem_in_the_same_words(error):
    words = told(error)
    problem, _ = problem_of(error)
    assert (words.code, words.detail, words.what_to_do) == (
        problem.code,
        problem.detail,
        problem.what_to_do,
    )
    assert words.field == (problem.errors[0].field if problem.errors else "")


def test_what_nobody_foresaw_is_not_told_in_detail():
    assert "secret" not in str(told(ZeroDivisionError("secret")))
    assert "fsync" not in str(told(StoreFailed("fsync of /var")))
