"""What the network may say, what is refused, and the requests that it makes."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod import network
from telcod.billing.ledger import AMOUNT_VND_MAX
from telcod.engine import request_hash
from telcod.network import (
    BadField,
    CallFailed,
    NamedSubscriber,
    SubscriberPut,
    TopUp,
)
from telcod.rows import Kind, State
from telcod.types import Channel

pytestmark = pytest.mark.rule("NET-1", "NET-2")

A = 84903000001
CALL = {
    "event_id": "e-1",
    "caller": "0903000001",
    "called": "0903000002",
    "reason": "insufficient_balance",
}
TOPUP = {"event_id": "e-1", "msisdn": "0903000001", "amount_vnd": 10_000}
PUT = {"kind": "prepaid", "state": "active", "centre": 3}


def call(**changed):
    return msgspec.convert(CALL | changed, CallFailed)


def request(actor="token:msc", **changed):
    return network.call_failed(call(**changed), caller=A, actor=actor)


def test_a_failed_call_is_the_callers_with_what_was_dialled_and_why():
    asked = request(called=" +84 903 000 002 ")
    assert (asked.route, asked.sender) == ("network.call_failed", A)
    assert asked.args == ("+84 903 000 002", "insufficient_balance")
    assert (asked.channel, asked.actor) == (Channel.NETWORK, "token:msc")
    assert asked.key == "network:token:msc:e-1"


def test_a_top_up_is_the_same_rule_as_a_persons():
    said = msgspec.convert(TOPUP, TopUp)
    asked = network.top_up(said, msisdn=A, actor="token:msc")
    assert (asked.route, asked.sender) == ("staff.topup", A)
    assert asked.args == ("10000", "network event e-1")
    assert (asked.channel, asked.actor) == (Channel.NETWORK, "token:msc")
    assert asked.key == "topup:token:msc:e-1"


def test_the_same_id_of_two_senders_is_two_events():
    assert request(actor="token:msc").key != request(actor="token:hlr").key


@pytest.mark.parametrize(
    "changed", [{"called": "0903000003"}, {"reason": "busy"}, {"called": "15660903000002"}]
)
def test_another_body_is_another_request_under_the_same_key(changed):
    first, other = request(), request(**changed)
    assert first.key == other.key
    assert request_hash(first) != request_hash(other)


def test_what_a_subscriber_is_not_said_to_be_is_not_said_on():
    said = msgspec.convert(PUT | {"name": "", "balance_vnd": 0}, SubscriberPut)
    asked = network.put_subscriber(said, msisdn=A, actor="token:hlr")
    assert (asked.route, asked.sender, asked.key) == ("network.subscriber", A, "")
    assert asked.body == {
        "kind": Kind.PREPAID,
        "state": State.ACTIVE,
        "centre": 3,
        "name": "",
        "balance_vnd": 0,
    }


def test_a_number_in_the_body_is_for_finding_the_subscriber_only():
    said = msgspec.convert(PUT | {"msisdn": "0903000001"}, NamedSubscriber)
    body = network.put_subscriber(said, msisdn=A, actor="mqtt").body
    assert body
    assert "msisdn" not in body


@pytest.mark.parametrize(
    ("shape", "body", "wrong"),
    [
        *((CallFailed, CALL, {name: value}) for name in CALL for value in (None, 5, "", "x" * 129)),
        (CallFailed, CALL, {"event_id": "e 1"}),
        (CallFailed, CALL, {"event_id": "e-1\n"}),
        (CallFailed, CALL, {"event_id": "é"}),
        (CallFailed, CALL, {"reason": "no money"}),
        (CallFailed, CALL, {"at": 5}),
        *(
            (TopUp, TOPUP, {"amount_vnd": value})
            for value in (0, -1, 1.5, "100", True, None, AMOUNT_VND_MAX + 1)
        ),
        (TopUp, TOPUP, {"reason": "gift"}),
        (SubscriberPut, PUT, {"kind": "hybrid"}),
        (SubscriberPut, PUT, {"state": "asleep"}),
        (SubscriberPut, PUT, {"centre": 0}),
        (SubscriberPut, PUT, {"centre": 7}),
        (SubscriberPut, PUT, {"language": "fr"}),
        (SubscriberPut, PUT, {"name": "x" * 201}),
        (SubscriberPut, PUT, {"balance_vnd": -1}),
        (SubscriberPut, PUT, {"debt_vnd": AMOUNT_VND_MAX + 1}),
        (SubscriberPut, PUT, {"name": None}),
        (SubscriberPut, PUT, {"msisdn": "0903000001"}),
    ],
)
def test_a_field_that_is_wrong_is_not_understood(shape, body, wrong):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(body | wrong, shape)


@pytest.mark.parametrize(
    ("shape", "body"), [(CallFailed, CALL), (TopUp, TOPUP), (SubscriberPut, PUT)]
)
def test_no_field_that_must_be_there_may_be_missing(shape, body):
    for name in body:
        with pytest.raises(msgspec.ValidationError, match=name):
            msgspec.convert({key: value for key, value in body.items() if key != name}, shape)


@pytest.mark.parametrize(
    "called", ["abc", "+", "   ", "०९०३", "0903\x00000002", "0903\u00a0000002"]
)
def test_what_nobody_can_dial_is_refused_with_the_field_named(called):
    with pytest.raises(BadField) as refused:
        request(called=called)
    assert refused.value.field == "called"


@pytest.mark.parametrize("field", ["name", "address", "email"])
def test_control_characters_in_a_name_are_refused_with_the_field_named(field):
    said = msgspec.convert(PUT | {field: "An\x1b[2J"}, SubscriberPut)
    with pytest.raises(BadField) as refused:
        network.put_subscriber(said, msisdn=A, actor="token:hlr")
    assert refused.value.field == field


@given(
    st.dictionaries(
        st.sampled_from((*CALL, "x")),
        st.one_of(st.text(max_size=140), st.integers(), st.none(), st.lists(st.text(), max_size=2)),
    )
)
def test_whatever_a_body_holds_it_is_a_request_or_named_as_wrong(changed):
    try:
        asked = network.call_failed(
            msgspec.convert(CALL | changed, CallFailed), caller=A, actor="m"
        )
    except (msgspec.ValidationError, BadField):
        return
    assert asked.key.isprintable()
    assert asked.args[0].isprintable()
    assert any(char.isdigit() for char in asked.args[0])
