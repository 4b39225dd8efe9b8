"""From a text of the outbox to the submit_sm PDUs that carry it (SMPP-5).  Pure.

Long texts go as UDH parts, SAR parts, or one `message_payload`, as the link is set; a peer that
takes no TLVs gets UDH. Each PDU names the text by `user_message_reference`, so that an SMSC, or a
person, sees that one sent twice is the same.
"""

from typing import Final

from telcod.rows import OutboxSms
from telcod.smpp.consts import EsmClass, RegisteredDelivery, TlvTag
from telcod.smpp.link_settings import LinkSettings
from telcod.smpp.pdu import SubmitSm
from telcod.smpp.tlv import Tlv
from telcod.text import Part, encode_gsm7, encode_ucs2, split, udh_concat

UDH_REFERENCE_MASK: Final = 0xFF
REFERENCE_MASK: Final = 0xFFFF


def submits(
    row: OutboxSms, settings: LinkSettings, *, takes_tlvs: bool, valid_s: int = 0
) -> tuple[SubmitSm, ...]:
    """The PDUs that carry a text over a link, in order.

    Args:
        row: The text.
        settings: The link's: addresses, alphabet, how long texts go.
        takes_tlvs: Whether the peer is of v3.4 or later.
        valid_s: Seconds after which the SMSC should give it up; 0 leaves it to the SMSC.

    Raises:
        TextTooLongError: It needs more than 255 parts.
    """
    parts = split(row.text, settings.default_alphabet)
    named = (
        (Tlv(TlvTag.USER_MESSAGE_REFERENCE, (row.seq & REFERENCE_MASK).to_bytes(2)),)
        if takes_tlvs
        else ()
    )
    valid = relative_time(valid_s) if valid_s else ""
    if len(parts) == 1:
        return (_submit(row, settings, parts[0].data_coding, parts[0].data, named, valid),)
    if takes_tlvs and settings.long_text == "payload":
        coding = parts[0].data_coding
        data = (
            encode_gsm7(row.text)
            if coding == 0 and settings.default_alphabet == "gsm7"
            else _payload(row.text, parts)
        )
        tlvs = (*named, Tlv(TlvTag.MESSAGE_PAYLOAD, data))
        return (_submit(row, settings, coding, b"", tlvs, valid),)
    if takes_tlvs and settings.long_text == "sar":
        return tuple(
            _submit(row, settings, part.data_coding, part.data, (*named, *_sar(row, part)), valid)
            for part in parts
        )
    return tuple(
        _submit(
            row,
            settings,
            part.data_coding,
            udh_concat(row.seq & UDH_REFERENCE_MASK, part.total, part.number) + part.data,
            named,
            valid,
            esm_class=EsmClass.UDHI,
        )
        for part in parts
    )


def relative_time(seconds: int) -> str:
    """A relative time of SMPP v3.4, 7.1.1.2: `YYMMDDhhmmss000R`; a month counts as 30 days."""
    minutes, second = divmod(max(0, seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    months, day = divmod(days, 30)
    return f"{months // 12:02d}{months % 12:02d}{day:02d}{hour:02d}{minute:02d}{second:02d}000R"


def _payload(text: str, parts: tuple[Part, ...]) -> bytes:
    return encode_ucs2(text) if parts[0].data_coding else b"".join(part.data for part in parts)


def _sar(row: OutboxSms, part: Part) -> tuple[Tlv, ...]:
    return (
        Tlv(TlvTag.SAR_MSG_REF_NUM, (row.seq & REFERENCE_MASK).to_bytes(2)),
        Tlv(TlvTag.SAR_TOTAL_SEGMENTS, bytes((part.total,))),
        Tlv(TlvTag.SAR_SEGMENT_SEQNUM, bytes((part.number,))),
    )


def _submit(
    row: OutboxSms,
    settings: LinkSettings,
    data_coding: int,
    data: bytes,
    tlvs: tuple[Tlv, ...],
    valid: str,
    *,
    esm_class: int = 0,
) -> SubmitSm:
    return SubmitSm(
        service_type=settings.service_type,
        source_addr_ton=settings.source_addr_ton,
        source_addr_npi=settings.source_addr_npi,
        source_addr=row.source,
        dest_addr_ton=settings.dest_addr_ton,
        dest_addr_npi=settings.dest_addr_npi,
        destination_addr=row.destination,
        esm_class=int(esm_class),
        validity_period=valid,
        registered_delivery=int(RegisteredDelivery.RECEIPT_ALWAYS) if row.receipt else 0,
        data_coding=data_coding,
        short_message=data,
        tlvs=tlvs,
    )
