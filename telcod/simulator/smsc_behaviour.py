"""How a simulated SMSC behaves, as data.  Pure.

The default is a well-behaved SMSC; every field is one habit, or one fault, seen in the field.
"""

from enum import StrEnum
from typing import Final

import msgspec
from smpplib import consts

# smpplib comes without types; these say what its numbers are.
STATUS_OK: Final[int] = consts.SMPP_ESME_ROK
STATUS_COMMAND_LENGTH: Final[int] = consts.SMPP_ESME_RINVCMDLEN
STATUS_COMMAND_UNKNOWN: Final[int] = consts.SMPP_ESME_RINVCMDID
STATUS_NOT_BOUND: Final[int] = consts.SMPP_ESME_RINVBNDSTS
STATUS_ALREADY_BOUND: Final[int] = consts.SMPP_ESME_RALYBND
STATUS_DESTINATION: Final[int] = consts.SMPP_ESME_RINVDSTADR
STATUS_BIND_FAILED: Final[int] = consts.SMPP_ESME_RBINDFAIL
STATUS_PASSWORD: Final[int] = consts.SMPP_ESME_RINVPASWD
STATUS_SYSTEM_ID: Final[int] = consts.SMPP_ESME_RINVSYSID
STATUS_QUEUE_FULL: Final[int] = consts.SMPP_ESME_RMSGQFUL
STATUS_THROTTLED: Final[int] = consts.SMPP_ESME_RTHROTTLED
STATUS_TRY_LATER: Final[int] = consts.SMPP_ESME_RX_T_APPN
VERSION_34: Final[int] = consts.SMPP_VERSION_34
WINDOW: Final = 100  # Unanswered deliver_sm on one connection.

# Answers to submit_sm besides a command_status.
SILENCE: Final = None


class BindMode(StrEnum):
    """What a connection may carry: texts to the SMSC, from it, or both."""

    TRANSMITTER = "transmitter"
    RECEIVER = "receiver"
    TRANSCEIVER = "transceiver"


class FaultKind(StrEnum):
    """What goes wrong on a connection."""

    DISCONNECT = "disconnect"  # The connection is cut, without unbind.
    GARBAGE = "garbage"  # Bytes that cannot be cut into PDUs.
    HALF_PDU = "half_pdu"  # The first half of a deliver_sm, then nothing more.
    UNBIND = "unbind"  # An orderly unbind.
    MUTE = "mute"  # The connection stays up, nothing is answered or sent any more.


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault and its moment: when the `after_pdus`-th PDU has come in.

    Counting begins when the behaviour is set and goes over all connections.  With `command`, only
    PDUs of that name count.  With `before_answer` that PDU is received but not acted upon.
    """

    kind: FaultKind
    after_pdus: int
    command: str | None = None
    before_answer: bool = False


class ReceiptForm(StrEnum):
    """Where a delivery receipt says what became of which message."""

    TEXT = "text"  # Appendix B of the specification, in short_message.
    TLV = "tlv"  # receipted_message_id and message_state only, no text.
    BOTH = "both"


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """The habits of a simulated SMSC; the defaults are those of a good one.

    - Binds: `bind_answers` are the statuses of the first binds, then `bind_status` holds.
      `sc_interface_version` None leaves the TLV out, as a 3.3 SMSC does.
    - Submits: `submit_answers` are the statuses of the first ones, then `submit_status` holds;
      `SILENCE` takes the message and does not answer.  `hold_responses` keeps the answers back
      until so many wait, and then sends them, latest first if `release_reversed`.
      Those of USSD are answered with `ussd_status`, and are no texts: no mailbox has them.
    - Message ids: numbers, written by the format specifications `message_id_format` in the
      response and `receipt_id_format` in the receipt; many an SMSC writes "x" here and "d" there.
    - Receipts: sent if asked for by registered_delivery; `receipt_first` sends them before the
      submit_sm_resp.
    - Redelivery: what a lost connection left unanswered is sent again, same body, after the next
      bind, if `retry_unanswered`.  What was refused with one of `retried_statuses` is sent
      again after `retry_pause_s`, or by `SimulatedSmsc.retry` alone if that is None.
    - `enquire_link_s`: seconds between the SMSC's own enquire_link, None for never; a connection
      that leaves one unanswered until the next is cut.
    """

    bind_status: int = STATUS_OK
    bind_answers: tuple[int, ...] = ()
    bind_modes: tuple[BindMode, ...] = tuple(BindMode)
    sc_interface_version: int | None = VERSION_34
    submit_status: int | None = STATUS_OK
    submit_answers: tuple[int | None, ...] = ()
    ussd_status: int | None = STATUS_OK
    hold_responses: int = 0
    release_reversed: bool = False
    duplicate_responses: bool = False
    message_id_format: str = "d"
    receipts: bool = True
    receipt_id_format: str = "d"
    receipt_form: ReceiptForm = ReceiptForm.BOTH
    receipt_first: bool = False
    receipt_delivered: bool = True
    retry_unanswered: bool = True
    retried_statuses: tuple[int, ...] = (
        STATUS_TRY_LATER,
        STATUS_THROTTLED,
        STATUS_QUEUE_FULL,
    )
    retry_pause_s: float | None = None
    window: int = WINDOW
    answer_enquire_link: bool = True
    answer_unbind: bool = True
    enquire_link_s: float | None = None
    faults: tuple[Fault, ...] = ()


def throttle_first(count: int) -> Behaviour:
    """Give the behaviour of an SMSC that throttles the first `count` submits."""
    return Behaviour(submit_answers=(STATUS_THROTTLED,) * count)
