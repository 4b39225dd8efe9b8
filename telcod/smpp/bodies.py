"""The bodies of SMPP v3.4's PDUs as values: one frozen struct each, fields under the spec's names.

Pure.  C-octet strings are `str`, decoded as Latin-1, which loses no octet; octet strings are
`bytes`; `tlvs` are the optional parameters in wire order.  Every field has a default, so that what
is NULL on the wire need not be written.  `gc=False` is safe: no body can hold another body, so
there are no cycles to collect.

How the fields lie on the wire is in `layout`, not here.
"""

from typing import Any, NamedTuple

import msgspec

from telcod.smpp.consts import InterfaceVersion
from telcod.smpp.tlv import Tlv

HIDDEN = "[hidden]"


class Body(msgspec.Struct, frozen=True, gc=False):
    """What every body is; never made by itself."""


class _WithPassword(Body, frozen=True, gc=False):
    """A body that must be printable in a log or a traceback without its password."""

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({shown})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [
            (name, HIDDEN if name == "password" else getattr(self, name))
            for name in self.__struct_fields__
        ]


class Bind(_WithPassword, frozen=True, gc=False):
    """4.1: what the three binds have in common; `address_range` is a regular expression."""

    system_id: str = ""
    password: str = ""
    system_type: str = ""
    interface_version: int = InterfaceVersion.V3_4
    addr_ton: int = 0
    addr_npi: int = 0
    address_range: str = ""


class BindTransmitter(Bind, frozen=True, gc=False):
    """4.1.1."""


class BindReceiver(Bind, frozen=True, gc=False):
    """4.1.3."""


class BindTransceiver(Bind, frozen=True, gc=False):
    """4.1.5."""


class BindResp(Body, frozen=True, gc=False):
    """4.1: what the three responses have in common."""

    system_id: str = ""
    tlvs: tuple[Tlv, ...] = ()


class BindTransmitterResp(BindResp, frozen=True, gc=False):
    """4.1.2."""


class BindReceiverResp(BindResp, frozen=True, gc=False):
    """4.1.4."""


class BindTransceiverResp(BindResp, frozen=True, gc=False):
    """4.1.6."""


class Outbind(_WithPassword, frozen=True, gc=False):
    """4.1.7: the SMSC asks to be bound to as receiver; has no response of its own."""

    system_id: str = ""
    password: str = ""


class Unbind(Body, frozen=True, gc=False):
    """4.2.1."""


class UnbindResp(Body, frozen=True, gc=False):
    """4.2.2."""


class GenericNack(Body, frozen=True, gc=False):
    """4.3.1: the answer to what cannot be answered otherwise."""


class ShortMessage(Body, frozen=True, gc=False):
    """4.4.1, 4.6.1: submit_sm and deliver_sm are the same on the wire."""

    service_type: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""
    esm_class: int = 0
    protocol_id: int = 0
    priority_flag: int = 0
    schedule_delivery_time: str = ""
    validity_period: str = ""
    registered_delivery: int = 0
    replace_if_present_flag: int = 0
    data_coding: int = 0
    sm_default_msg_id: int = 0
    short_message: bytes = b""
    tlvs: tuple[Tlv, ...] = ()


class SubmitSm(ShortMessage, frozen=True, gc=False):
    """4.4.1: ESME to SMSC."""


class DeliverSm(ShortMessage, frozen=True, gc=False):
    """4.6.1: SMSC to ESME; times, priority and default message are NULL in a correct one."""


class MessageIdResp(Body, frozen=True, gc=False):
    """What the responses to submit_sm, deliver_sm and data_sm have in common.

    `message_id` is opaque (5.2.23): compare it, never parse it.
    """

    message_id: str = ""
    tlvs: tuple[Tlv, ...] = ()


class SubmitSmResp(MessageIdResp, frozen=True, gc=False):
    """4.4.2; TLVs only from v5.0 peers."""


class DeliverSmResp(MessageIdResp, frozen=True, gc=False):
    """4.6.2: `message_id` is unused and NULL."""


class DataSmResp(MessageIdResp, frozen=True, gc=False):
    """4.7.2."""


class DataSm(Body, frozen=True, gc=False):
    """4.7.1: in both directions; the text is in the message_payload TLV."""

    service_type: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""
    esm_class: int = 0
    registered_delivery: int = 0
    data_coding: int = 0
    tlvs: tuple[Tlv, ...] = ()


class SmeAddress(NamedTuple):
    """4.5.1.1, dest_flag 1: one destination of a submit_multi."""

    dest_addr_ton: int
    dest_addr_npi: int
    destination_addr: str


class DistributionList(NamedTuple):
    """4.5.1.2, dest_flag 2: a list that the SMSC keeps."""

    dl_name: str


class SubmitMulti(Body, frozen=True, gc=False):
    """4.5.1: one text to 1 to 254 destinations."""

    service_type: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_addresses: tuple[SmeAddress | DistributionList, ...] = ()
    esm_class: int = 0
    protocol_id: int = 0
    priority_flag: int = 0
    schedule_delivery_time: str = ""
    validity_period: str = ""
    registered_delivery: int = 0
    replace_if_present_flag: int = 0
    data_coding: int = 0
    sm_default_msg_id: int = 0
    short_message: bytes = b""
    tlvs: tuple[Tlv, ...] = ()


class UnsuccessSme(NamedTuple):
    """4.5.2.1: a destination that was not accepted, and its command_status."""

    dest_addr_ton: int
    dest_addr_npi: int
    destination_addr: str
    error_status_code: int


class SubmitMultiResp(Body, frozen=True, gc=False):
    """4.5.2."""

    message_id: str = ""
    unsuccess_smes: tuple[UnsuccessSme, ...] = ()
    tlvs: tuple[Tlv, ...] = ()


class QuerySm(Body, frozen=True, gc=False):
    """4.8.1."""

    message_id: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""


class QuerySmResp(Body, frozen=True, gc=False):
    """4.8.2; `error_code` is the network's, not SMPP's."""

    message_id: str = ""
    final_date: str = ""
    message_state: int = 0
    error_code: int = 0


class CancelSm(Body, frozen=True, gc=False):
    """4.9.1: one message, or all between two addresses when `message_id` is NULL."""

    service_type: str = ""
    message_id: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""


class CancelSmResp(Body, frozen=True, gc=False):
    """4.9.2."""


class ReplaceSm(Body, frozen=True, gc=False):
    """4.10.1."""

    message_id: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    schedule_delivery_time: str = ""
    validity_period: str = ""
    registered_delivery: int = 0
    sm_default_msg_id: int = 0
    short_message: bytes = b""


class ReplaceSmResp(Body, frozen=True, gc=False):
    """4.10.2."""


class EnquireLink(Body, frozen=True, gc=False):
    """4.11.1: from both sides."""


class EnquireLinkResp(Body, frozen=True, gc=False):
    """4.11.2."""


class AlertNotification(Body, frozen=True, gc=False):
    """4.12.1: a mobile is reachable again; never answered."""

    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    esme_addr_ton: int = 0
    esme_addr_npi: int = 0
    esme_addr: str = ""
    tlvs: tuple[Tlv, ...] = ()
