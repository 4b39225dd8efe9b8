"""What a deliver_sm or data_sm holds: a text or a part of one, or a delivery receipt (SMPP-3,
SMPP-4).  Pure.

A receipt is known by its esm_class or its TLVs, never by its text.  Parts are brought to one of two
codings, septets or UTF-16, so that parts of one text may come over links with different default
alphabets.
"""

import re
from typing import Final, NamedTuple

from telcod.smpp.consts import EsmClass, TlvTag
from telcod.smpp.pdu import DataSm, DeliverSm
from telcod.smpp.tlv import tlv_or_none
from telcod.text import (
    DATA_CODING_DEFAULT,
    DATA_CODING_UCS2,
    DefaultAlphabet,
    decode_short_message,
    encode_gsm7,
    encode_ucs2,
    is_gsm7,
    parse_udh,
    without_nul,
)
from telcod.types import Concat

TEXT_OCTETS_MAX: Final = 4_096
WIDE_REFERENCE: Final = 1 << 16
SAR_REFERENCE: Final = 1 << 17

_RECEIPT_CLASSES: Final = (0x04, 0x20)  # 5.2.12: delivery receipt, intermediate notification
_CLASS_BITS: Final = 0x3C
_RECEIPT_ID: Final = re.compile(r"\bid:\s*(\S+)", re.IGNORECASE)
_RECEIPT_STAT: Final = re.compile(r"\bstat:\s*([A-Za-z]+)", re.IGNORECASE)
_DELIVERED_STATES: Final = frozenset({"DELIVRD", "ACCEPTD"})
_FINAL_TEXT_STATES: Final = frozenset(
    {"DELIVRD", "EXPIRED", "DELETED", "UNDELIV", "REJECTD", "ACCEPTD", "UNKNOWN"}
)
# 5.2.28: 1 en route, 2 delivered, 3 expired, 4 deleted, 5 undeliverable, 6 accepted, 7 unknown, 8
# rejected; v5.0: 9 skipped.
_DELIVERED_STATE_CODES: Final = frozenset({2, 6})
_FINAL_STATE_CODES: Final = frozenset({2, 3, 4, 5, 6, 7, 8, 9})


class Receipt(NamedTuple):
    """What became of a text that asked for a receipt; `final` is False for a report on the way."""

    message_id: str
    delivered: bool
    final: bool


class Whole(NamedTuple):
    """A text that came in one piece."""

    text: str


class Piece(NamedTuple):
    """A part of a long text, in septets (`data_coding` 0) or UTF-16 (8)."""

    concat: Concat
    data_coding: int
    data: bytes


def read_incoming(
    body: DeliverSm | DataSm, default_alphabet: DefaultAlphabet
) -> Whole | Piece | Receipt:
    """Say what a message holds; never raises, whatever the peer put in it."""
    if _is_receipt(body):
        return _receipt(body)
    data = message_octets(body)
    coding = body.data_coding
    udh_octets, concat = 0, None
    if body.esm_class & EsmClass.UDHI:
        udh, data = parse_udh(data)
        udh_octets = udh.octets
        if udh.concat is not None and udh.concat.total > 1:
            wide = WIDE_REFERENCE if udh.concat.wide else 0
            concat = Concat(udh.concat.reference + wide, udh.concat.total, udh.concat.part)
    if concat is None:
        concat = _sar(body)
    if concat is None:
        text = decode_short_message(data, coding, default_alphabet, udh_octets=udh_octets)
        return Whole(without_nul(text))
    return _piece(concat, data, coding, default_alphabet, udh_octets)


def message_octets(body: DeliverSm | DataSm) -> bytes:
    """The user data, from `short_message` or the TLV `message_payload`, with its header if it has
    one; cut at a sane length.
    """
    if isinstance(body, DeliverSm) and body.short_message:
        return body.short_message
    return (tlv_or_none(body.tlvs, TlvTag.MESSAGE_PAYLOAD) or b"")[:TEXT_OCTETS_MAX]


def identity(body: DeliverSm | DataSm) -> bytes:
    """The octets by which a redelivery is known.

    Addresses, class, coding, user data with its header, SAR (DESIGN 4).
    """
    esm_class = body.esm_class & ~EsmClass.MODE_MASK
    sar = _sar(body) if body.tlvs else None
    place = "" if sar is None else repr(tuple(sar))
    said = f"{body.source_addr}\0{body.destination_addr}\0{esm_class}\0{body.data_coding}"
    return f"{said}\0{place}\0".encode() + message_octets(body)


def _piece(
    concat: Concat, data: bytes, coding: int, alphabet: DefaultAlphabet, udh_octets: int
) -> Piece:
    if coding == DATA_CODING_UCS2:
        return Piece(concat, DATA_CODING_UCS2, data)
    if coding == DATA_CODING_DEFAULT and alphabet == "gsm7":
        return Piece(concat, DATA_CODING_DEFAULT, data)
    text = decode_short_message(data, coding, alphabet, udh_octets=udh_octets)
    if is_gsm7(text):
        return Piece(concat, DATA_CODING_DEFAULT, encode_gsm7(text))
    return Piece(concat, DATA_CODING_UCS2, encode_ucs2(text))


def _sar(body: DeliverSm | DataSm) -> Concat | None:
    """5.3.2.22-24: all three or none; numbers from 1."""
    if not body.tlvs:
        return None
    reference = tlv_or_none(body.tlvs, TlvTag.SAR_MSG_REF_NUM)
    total = tlv_or_none(body.tlvs, TlvTag.SAR_TOTAL_SEGMENTS)
    number = tlv_or_none(body.tlvs, TlvTag.SAR_SEGMENT_SEQNUM)
    if not reference or not total or not number or len(total) != 1 or len(number) != 1:
        return None
    if total[0] < 2 or not 1 <= number[0] <= total[0]:
        return None
    return Concat(int.from_bytes(reference[-2:]) + SAR_REFERENCE, total[0], number[0])


def _is_receipt(body: DeliverSm | DataSm) -> bool:
    if body.esm_class & _CLASS_BITS in _RECEIPT_CLASSES:
        return True
    return bool(body.tlvs) and tlv_or_none(body.tlvs, TlvTag.RECEIPTED_MESSAGE_ID) is not None


def _receipt(body: DeliverSm | DataSm) -> Receipt:
    """The TLVs are preferred to the text.

    The text is read leniently, its form is the vendor's (App. B).
    """
    text = message_octets(body).decode("latin-1")
    id_tlv = tlv_or_none(body.tlvs, TlvTag.RECEIPTED_MESSAGE_ID)
    state_tlv = tlv_or_none(body.tlvs, TlvTag.MESSAGE_STATE)
    found = _RECEIPT_ID.search(text)
    message_id = (
        id_tlv.split(b"\0", 1)[0].decode("latin-1") if id_tlv else (found[1] if found else "")
    )
    if state_tlv:
        return Receipt(
            message_id, state_tlv[0] in _DELIVERED_STATE_CODES, state_tlv[0] in _FINAL_STATE_CODES
        )
    stat = _RECEIPT_STAT.search(text)
    word = stat[1].upper() if stat else ""
    return Receipt(message_id, word in _DELIVERED_STATES, word in _FINAL_TEXT_STATES)
