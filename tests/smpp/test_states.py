"""The table of states against v3.4's own, written out independently."""

import pytest

from telcod.smpp.consts import RESPONSE_BIT, CommandId
from telcod.smpp.states import ADMITTED, ALIVE, BOUND, TRANSITIONS, State, Step

pytestmark = pytest.mark.rule("SMPP-1", "SMPP-2")


@pytest.mark.parametrize(
    ("command_id", "states"),
    [
        (CommandId.DELIVER_SM, "bound_rx bound_trx"),
        (CommandId.DATA_SM, "bound_tx bound_rx bound_trx"),
        (CommandId.ALERT_NOTIFICATION, "bound_rx bound_trx"),
        (CommandId.OUTBIND, "open"),
        (CommandId.UNBIND, "open binding bound_tx bound_rx bound_trx unbinding"),
        (CommandId.ENQUIRE_LINK, "open binding bound_tx bound_rx bound_trx unbinding"),
        (CommandId.SUBMIT_SM, ""),
        (CommandId.QUERY_SM, ""),
        (CommandId.BIND_TRANSCEIVER, ""),
    ],
)
def test_a_state_admits_what_the_smsc_may_send_in_it(command_id, states):
    assert {str(state) for state in ADMITTED.get(command_id, ())} == set(states.split())


def test_only_requests_are_in_the_table():
    assert all(command_id < RESPONSE_BIT for command_id in ADMITTED)


def test_every_state_can_be_reached_and_only_closed_is_final():
    assert {State.OPEN} | set(TRANSITIONS.values()) == set(State)
    assert {state for state, _ in TRANSITIONS} == ALIVE
    assert {step for _, step in TRANSITIONS} == set(Step)
    assert State.CLOSED not in ALIVE
    assert all(TRANSITIONS[state, Step.ENDED] is State.CLOSED for state in ALIVE)
    assert {state for state, step in TRANSITIONS if step is Step.UNBIND_SENT} == BOUND
