"""One table tells SMPP, HTTP and the command line what happened."""

import pytest
from smpplib import consts

from telcod import errors
from telcod.errors import (
    FATES,
    KeyReused,
    LedgerCorrupt,
    NotStarted,
    Overloaded,
    Refusal,
    StoreFailed,
    StoreFull,
    StoreLocked,
    TelcodError,
    Unavailable,
    fate_of,
)

CLASSES = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, Exception)
]
SMPP_STATUSES = ("ESME_ROK", "ESME_RX_T_APPN", "ESME_RX_P_APPN")


@pytest.mark.parametrize("name", SMPP_STATUSES)
def test_a_status_agrees_with_smpplib(name):
    assert getattr(errors, name) == getattr(consts, f"SMPP_{name}")


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_has_a_row_and_says_what_to_do(kind):
    assert kind in FATES
    assert kind("it broke").what_to_do.endswith(".")
    assert kind.__doc__


def test_every_refusal_has_a_row():
    assert set(Refusal) <= FATES.keys()


@pytest.mark.rule("SMPP-2")
@pytest.mark.parametrize("kind", [Overloaded, StoreFull, StoreFailed, StoreLocked, Unavailable])
def test_what_may_get_better_leaves_the_text_with_the_smsc(kind):
    assert fate_of(kind("no")).smpp_status == errors.ESME_RX_T_APPN


@pytest.mark.rule("SMPP-2")
@pytest.mark.parametrize("kind", CLASSES)
def test_no_error_is_ever_answered_with_ok(kind):
    assert fate_of(kind("no")).smpp_status != errors.ESME_ROK


@pytest.mark.rule("HTTP-1")
@pytest.mark.parametrize("kind", [Overloaded, StoreFull, StoreFailed, StoreLocked, Unavailable])
def test_what_may_get_better_says_when_to_come_back(kind):
    assert fate_of(kind("no")).http_status == 503
    assert fate_of(kind("no")).retry_after_s > 0


@pytest.mark.rule("HTTP-1")
@pytest.mark.parametrize(
    ("what", "status"),
    [
        (Refusal.NOT_AUTHENTICATED, 401),
        (Refusal.NOT_PERMITTED, 403),
        (Refusal.MALFORMED, 400),
        (Refusal.NOT_FOUND, 404),
        (Refusal.CONFLICT, 409),
        (KeyReused("k"), 409),
        (Refusal.TOO_LARGE, 413),
        (Refusal.TOO_OFTEN, 429),
        (ZeroDivisionError(), 500),
    ],
)
def test_http_is_told_by_its_own_numbers(what, status):
    assert fate_of(what).http_status == status


@pytest.mark.rule("HTTP-1")
def test_too_often_says_when_to_come_back():
    assert fate_of(Refusal.TOO_OFTEN).retry_after_s > 0


@pytest.mark.rule("CLI-9")
def test_what_could_not_start_exits_with_3_and_wrong_use_with_2():
    assert fate_of(NotStarted("x")).exit_code == 3
    assert fate_of(StoreLocked("x")).exit_code == 3
    assert fate_of(Refusal.MALFORMED).exit_code == 2
    assert fate_of(Overloaded("x")).exit_code == 1


def test_a_class_without_a_row_is_told_like_its_nearest_ancestor():
    class SmallerStore(StoreLocked):
        pass

    assert fate_of(SmallerStore("x")) == FATES[StoreLocked]


@pytest.mark.rule("CLI-9")
def test_an_error_is_one_sentence_and_what_to_do():
    assert (
        Overloaded("5000 wait").sentence() == "5000 wait. Try again in a moment; nothing was done."
    )
    assert TelcodError("Gone.", what_to_do="Look.").sentence() == "Gone. Look."


def test_broken_books_are_not_handled_with_what_merely_went_wrong():
    assert not issubclass(LedgerCorrupt, TelcodError)
