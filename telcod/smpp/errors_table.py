"""What to do after each command_status of a submit_sm_resp (SMPP v3.4, 5.1.3; v5.0 besides).  Pure.

The table asks one question: would the *same* PDU do better later (`RETRY_LATER`), at a gentler
pace (`SLOW_DOWN`), over another link (`OTHER_LINK`), or not at all (`NEVER`)?  When in doubt the
answer is `RETRY_LATER`: the message's own validity ends the attempts.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from telcod.smpp.consts import CommandStatus as Esme

VENDOR_STATUSES: Final = range(0x400, 0x500)
"""5.1.3 leaves these to the SMSC's vendor; their meaning is in its manual, if anywhere."""


class Next(StrEnum):
    """What to do with a message that the SMSC refused."""

    RETRY_LATER = "retry_later"
    """Nothing is wrong with the message: submit it again, on any link, after a delay."""
    SLOW_DOWN = "slow_down"
    """As `RETRY_LATER`, without counting as an attempt: the link pauses by itself."""
    OTHER_LINK = "other_link"
    """This account may not send it; another link may."""
    NEVER = "never"
    """The same PDU will be refused for ever: give up and say so."""


class SubmitError(NamedTuple):
    """One row: what to do, and why."""

    next: Next
    reason: str


_LATER, _SLOW, _OTHER, _NEVER = Next.RETRY_LATER, Next.SLOW_DOWN, Next.OTHER_LINK, Next.NEVER

# v5.0, 4.7.6: a v5.0 SMSC may send these to a v3.4 ESME; the codec's names are v3.4's.
ESME_RSERTYPUNAUTH: Final = 0x100
ESME_RPROHIBITED: Final = 0x101
ESME_RSERTYPUNAVAIL: Final = 0x102
ESME_RSERTYPDENIED: Final = 0x103
ESME_RINVDCS: Final = 0x104
ESME_RINVSRCADDRSUBUNIT: Final = 0x105
ESME_RINVDSTADDRSUBUNIT: Final = 0x106

SUBMIT_ERRORS: Final[Mapping[int, SubmitError]] = MappingProxyType(
    {
        Esme.ESME_RINVMSGLEN: SubmitError(_NEVER, "the text has a length this SMSC does not take"),
        Esme.ESME_RINVCMDLEN: SubmitError(_NEVER, "the SMSC reads this PDU as malformed"),
        Esme.ESME_RINVCMDID: SubmitError(_OTHER, "this SMSC does not know submit_sm"),
        Esme.ESME_RINVBNDSTS: SubmitError(
            _LATER, "the session was not bound for sending just then"
        ),
        Esme.ESME_RALYBND: SubmitError(
            _LATER, "an answer to a bind, not to this; the bind is redone"
        ),
        Esme.ESME_RINVPRTFLG: SubmitError(_NEVER, "the priority is not one of this SMSC's"),
        Esme.ESME_RINVREGDLVFLG: SubmitError(
            _NEVER, "receipts as we ask for them do not exist there"
        ),
        Esme.ESME_RSYSERR: SubmitError(_LATER, "the SMSC has a fault of its own"),
        Esme.ESME_RINVSRCADR: SubmitError(_OTHER, "this account may not send from that short code"),
        Esme.ESME_RINVDSTADR: SubmitError(_NEVER, "the SMSC says that there is no such number"),
        Esme.ESME_RINVMSGID: SubmitError(_NEVER, "speaks of a message id, which a submit has not"),
        Esme.ESME_RBINDFAIL: SubmitError(
            _LATER, "an answer to a bind, not to this; the bind is redone"
        ),
        Esme.ESME_RINVPASWD: SubmitError(_OTHER, "the account was locked or its password changed"),
        Esme.ESME_RINVSYSID: SubmitError(_OTHER, "the account was removed"),
        Esme.ESME_RCANCELFAIL: SubmitError(_LATER, "not an error of submit_sm; a confused SMSC"),
        Esme.ESME_RREPLACEFAIL: SubmitError(_NEVER, "there is nothing to replace, or no leave to"),
        Esme.ESME_RMSGQFUL: SubmitError(_SLOW, "the SMSC's queue is full"),
        Esme.ESME_RINVSERTYP: SubmitError(_OTHER, "the service type is not this account's"),
        Esme.ESME_RINVNUMDESTS: SubmitError(_NEVER, "not an error of submit_sm to one number"),
        Esme.ESME_RINVDLNAME: SubmitError(_NEVER, "not an error of submit_sm to one number"),
        Esme.ESME_RINVDESTFLAG: SubmitError(_NEVER, "not an error of submit_sm to one number"),
        Esme.ESME_RINVSUBREP: SubmitError(_NEVER, "replacing is refused for this message"),
        Esme.ESME_RINVESMCLASS: SubmitError(
            _NEVER, "this SMSC does not do the esm_class asked for"
        ),
        Esme.ESME_RCNTSUBDL: SubmitError(_NEVER, "not an error of submit_sm to one number"),
        Esme.ESME_RSUBMITFAIL: SubmitError(_LATER, "refused without a reason: often a passing one"),
        Esme.ESME_RINVSRCTON: SubmitError(_NEVER, "the link's source_addr_ton is set wrong"),
        Esme.ESME_RINVSRCNPI: SubmitError(_NEVER, "the link's source_addr_npi is set wrong"),
        Esme.ESME_RINVDSTTON: SubmitError(_NEVER, "the link's dest_addr_ton is set wrong"),
        Esme.ESME_RINVDSTNPI: SubmitError(_NEVER, "the link's dest_addr_npi is set wrong"),
        Esme.ESME_RINVSYSTYP: SubmitError(_OTHER, "the link's system_type is set wrong"),
        Esme.ESME_RINVREPFLAG: SubmitError(_NEVER, "replace_if_present is not done by this SMSC"),
        Esme.ESME_RINVNUMMSGS: SubmitError(_NEVER, "not an error of submit_sm"),
        Esme.ESME_RTHROTTLED: SubmitError(_SLOW, "the account's rate is exceeded"),
        Esme.ESME_RINVSCHED: SubmitError(_NEVER, "the delivery time is in a form it does not take"),
        Esme.ESME_RINVEXPIRY: SubmitError(
            _NEVER, "the validity is past, or in a form it does not take"
        ),
        Esme.ESME_RINVDFTMSGID: SubmitError(_NEVER, "there is no such canned message"),
        Esme.ESME_RX_T_APPN: SubmitError(_LATER, "a receiver behind the SMSC is busy"),
        Esme.ESME_RX_P_APPN: SubmitError(_NEVER, "a receiver behind the SMSC will never take it"),
        Esme.ESME_RX_R_APPN: SubmitError(_NEVER, "a receiver behind the SMSC rejects this message"),
        Esme.ESME_RQUERYFAIL: SubmitError(_LATER, "not an error of submit_sm; a confused SMSC"),
        Esme.ESME_RINVOPTPARSTREAM: SubmitError(_NEVER, "the SMSC cannot read our TLVs"),
        Esme.ESME_ROPTPARNOTALLWD: SubmitError(_OTHER, "this SMSC does not take that TLV"),
        Esme.ESME_RINVPARLEN: SubmitError(_NEVER, "a field has a length this SMSC does not take"),
        Esme.ESME_RMISSINGOPTPARAM: SubmitError(
            _NEVER, "this SMSC wants a TLV that we do not send"
        ),
        Esme.ESME_RINVOPTPARAMVAL: SubmitError(_NEVER, "a TLV has a value this SMSC does not take"),
        Esme.ESME_RDELIVERYFAILURE: SubmitError(_LATER, "the phone could not be reached just now"),
        Esme.ESME_RUNKNOWNERR: SubmitError(_LATER, "the SMSC does not know why either"),
        ESME_RSERTYPUNAUTH: SubmitError(_OTHER, "the account has no right to this service type"),
        ESME_RPROHIBITED: SubmitError(_OTHER, "the account may not do this"),
        ESME_RSERTYPUNAVAIL: SubmitError(_LATER, "the service type is out of order"),
        ESME_RSERTYPDENIED: SubmitError(_OTHER, "the service type is denied to this account"),
        ESME_RINVDCS: SubmitError(_NEVER, "the data_coding is not one of this SMSC's"),
        ESME_RINVSRCADDRSUBUNIT: SubmitError(
            _NEVER, "source_addr_subunit is not one of its values"
        ),
        ESME_RINVDSTADDRSUBUNIT: SubmitError(_NEVER, "dest_addr_subunit is not one of its values"),
    }
)
"""By command_status.  What is not here is handled as `UNLISTED` says."""

UNLISTED: Final = SubmitError(_LATER, "a status that the specification reserves")
VENDOR: Final = SubmitError(_LATER, "a status of the SMSC's vendor")


def submit_error(command_status: int) -> SubmitError:
    """Return the row for a status, for any number a peer may send.

    Raises:
        ValueError: The status is ESME_ROK: the caller has no error to ask about.
    """
    if command_status == 0:
        raise ValueError("ESME_ROK is not an error")
    row = SUBMIT_ERRORS.get(command_status)
    if row is not None:
        return row
    return VENDOR if command_status in VENDOR_STATUSES else UNLISTED
