"""The states of an SMPP session and what each admits, as data (v3.4, table 2-1).  Pure.

`session` reads these tables, and so do its tests; a rule about states that is not here does not
exist.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from telcod.smpp.consts import CommandId, CommandStatus


class State(StrEnum):
    """Where a connection stands.  CLOSED is final: a new connection is a new session."""

    OPEN = "open"
    BINDING = "binding"
    BOUND_TX = "bound_tx"
    BOUND_RX = "bound_rx"
    BOUND_TRX = "bound_trx"
    UNBINDING = "unbinding"
    CLOSED = "closed"


class Step(StrEnum):
    """What moves a session from one state to another."""

    BIND_SENT = "bind_sent"
    BOUND_AS_TX = "bound_as_tx"
    BOUND_AS_RX = "bound_as_rx"
    BOUND_AS_TRX = "bound_as_trx"
    UNBIND_SENT = "unbind_sent"
    ENDED = "ended"


SENDING: Final = frozenset({State.BOUND_TX, State.BOUND_TRX})
RECEIVING: Final = frozenset({State.BOUND_RX, State.BOUND_TRX})
BOUND: Final = SENDING | RECEIVING
ALIVE: Final = frozenset(State) - {State.CLOSED}

TRANSITIONS: Final[Mapping[tuple[State, Step], State]] = MappingProxyType(
    {
        (State.OPEN, Step.BIND_SENT): State.BINDING,
        (State.BINDING, Step.BOUND_AS_TX): State.BOUND_TX,
        (State.BINDING, Step.BOUND_AS_RX): State.BOUND_RX,
        (State.BINDING, Step.BOUND_AS_TRX): State.BOUND_TRX,
        **{(state, Step.UNBIND_SENT): State.UNBINDING for state in BOUND},
        **{(state, Step.ENDED): State.CLOSED for state in ALIVE},
    }
)
"""What is not here cannot happen; a `KeyError` would be a bug of this file."""

ADMITTED: Final[Mapping[int, frozenset[State]]] = MappingProxyType(
    {
        CommandId.DELIVER_SM: RECEIVING,
        # Table 2-1 has data_sm from both sides in every bound state.
        CommandId.DATA_SM: BOUND,
        CommandId.ALERT_NOTIFICATION: RECEIVING,
        # v5.0 peers probe before the bind, and SMSCs that go down unbind whoever is connected.
        CommandId.ENQUIRE_LINK: ALIVE,
        CommandId.UNBIND: ALIVE,
        CommandId.OUTBIND: frozenset({State.OPEN}),
    }
)
"""Which requests of the SMSC a state admits; any other known request gets ESME_RINVBNDSTS."""

CROSSED: Final = frozenset({CommandId.DELIVER_SM, CommandId.DATA_SM})
"""What the SMSC sent before it read our unbind: it must keep it, so the refusal is temporary."""

SLOW: Final = frozenset({CommandStatus.ESME_RTHROTTLED, CommandStatus.ESME_RMSGQFUL})
"""The answers to a submit that slow the whole link down."""
