"""Every status that a submit may be refused with has its consequence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.smpp.consts import CommandStatus
from telcod.smpp.errors_table import SUBMIT_ERRORS, UNLISTED, VENDOR, Next, submit_error
from telcod.smpp.states import SLOW

pytestmark = pytest.mark.rule("SMPP-5")


def test_every_status_of_the_specification_is_in_the_table_with_a_reason():
    assert {status for status in CommandStatus if status} <= set(SUBMIT_ERRORS)
    assert 0 not in SUBMIT_ERRORS
    assert all(row.reason for row in SUBMIT_ERRORS.values())


def test_exactly_what_pauses_the_link_is_called_slow():
    assert {s for s, row in SUBMIT_ERRORS.items() if row.next is Next.SLOW_DOWN} == SLOW


@pytest.mark.parametrize(
    ("status", "what_next"),
    [
        (0x58, Next.SLOW_DOWN),
        (0x14, Next.SLOW_DOWN),
        (0x08, Next.RETRY_LATER),
        (0x45, Next.RETRY_LATER),
        (0x0B, Next.NEVER),
        (0x01, Next.NEVER),
        (0x0A, Next.OTHER_LINK),
        (0x15, Next.OTHER_LINK),
        (0x103, Next.OTHER_LINK),
    ],
)
def test_known_statuses_are_told_apart(status, what_next):
    assert submit_error(status).next is what_next


@given(st.integers(0x400, 0x4FF))
def test_a_vendors_status_is_tried_again_later(status):
    assert submit_error(status) is VENDOR
    assert VENDOR.next is Next.RETRY_LATER


@given(st.integers(1, 0xFFFF_FFFF).filter(lambda s: s not in SUBMIT_ERRORS))
def test_whatever_a_peer_invents_is_tried_again_later(status):
    assert submit_error(status).next is Next.RETRY_LATER
    assert submit_error(0x999) is UNLISTED


def test_ok_is_not_an_error():
    with pytest.raises(ValueError, match="ESME_ROK"):
        submit_error(0)
