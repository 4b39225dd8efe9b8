"""One text of the outbox, as the submit_sm PDUs that carry it."""

from typing import Any

import pytest

from telcod.rows import OutboxSms
from telcod.smpp.consts import EsmClass, TlvTag
from telcod.smpp.link_settings import LinkSettings
from telcod.smpp.outgoing import relative_time, submits
from telcod.smpp.tlv import Tlv, tlv_or_none
from telcod.text import TextTooLongError, decode_gsm7

EURO = "€"  # Two septets: never torn in two.
FACE = "\U0001f642"  # Two UTF-16 units: never torn in two.

pytestmark = pytest.mark.rule("SMPP-5")


def text_row(text, *, seq=0x1_0007, receipt=0):
    values: dict[str, Any] = dict.fromkeys(OutboxSms.__struct_fields__, 0) | {
        "seq": seq,
        "source": "1566",
        "destination": "84903000001",
        "text": text,
        "receipt": receipt,
    }
    return OutboxSms(**values)


def sent(text, *, takes_tlvs=True, valid_s=0, receipt=0, seq=0x1_0007, **settings):
    link = LinkSettings(name="a", host="h", system_id="s", password="p", **settings)
    row = text_row(text, receipt=receipt, seq=seq)
    return submits(row, link, takes_tlvs=takes_tlvs, valid_s=valid_s)


def test_a_short_text_is_one_pdu_that_names_its_place_in_the_outbox():
    [body] = sent("Xin chao")
    assert (body.source_addr, body.destination_addr) == ("1566", "84903000001")
    assert (body.short_message, body.data_coding, body.esm_class) == (b"Xin chao", 0, 0)
    assert body.tlvs == (Tlv(TlvTag.USER_MESSAGE_REFERENCE, b"\0\7"),)
    assert (body.registered_delivery, body.validity_period) == (0, "")


def test_a_receipt_is_asked_for_where_the_row_says_so():
    assert sent("x", receipt=1)[0].registered_delivery == 1


def test_a_link_s_addresses_are_used():
    [body] = sent(
        "x",
        source_addr_ton=3,
        source_addr_npi=0,
        dest_addr_ton=2,
        dest_addr_npi=8,
        service_type="I",
    )
    assert (body.source_addr_ton, body.source_addr_npi, body.dest_addr_ton) == (3, 0, 2)
    assert (body.dest_addr_npi, body.service_type) == (8, "I")


def test_a_peer_before_v3_4_gets_no_tlvs_and_long_texts_by_header():
    for way in ("udh", "sar", "payload"):
        first, second = sent("x" * 161, takes_tlvs=False, long_text=way)
        assert first.tlvs == second.tlvs == ()
        assert first.short_message[:6] == b"\5\0\3\7\2\1"
        assert second.short_message == b"\5\0\3\7\2\2" + b"x" * 8


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("x" * 160, [160]),
        ("x" * 161, [6 + 153, 6 + 8]),
        ("x" * 152 + EURO + "x" * 10, [6 + 152, 6 + 12]),
        ("ư" * 70, [140]),
        ("ư" * 71, [6 + 134, 6 + 8]),
        ("ư" * 66 + FACE + "ư" * 10, [6 + 132, 6 + 24]),
    ],
)
def test_parts_never_split_an_escape_or_a_surrogate_pair(text, lengths):
    bodies = sent(text)
    assert [len(body.short_message) for body in bodies] == lengths
    assert {body.esm_class for body in bodies} == {EsmClass.UDHI if len(lengths) > 1 else 0}
    data = b"".join(body.short_message[6 if len(lengths) > 1 else 0 :] for body in bodies)
    coding = bodies[0].data_coding
    assert (data.decode("utf-16-be") if coding == 8 else decode_gsm7(data)) == text


def test_sar_numbers_the_parts_in_tlvs():
    bodies = sent("x" * 400, long_text="sar")
    assert [body.esm_class for body in bodies] == [0, 0, 0]
    tags = (TlvTag.SAR_MSG_REF_NUM, TlvTag.SAR_TOTAL_SEGMENTS, TlvTag.SAR_SEGMENT_SEQNUM)
    marks = [tuple(tlv_or_none(body.tlvs, tag) for tag in tags) for body in bodies]
    assert marks == [(b"\0\7", b"\3", bytes([number])) for number in (1, 2, 3)]
    assert b"".join(body.short_message for body in bodies) == b"x" * 400


@pytest.mark.parametrize(
    ("text", "data"), [("x" * 400, b"x" * 400), ("ư" * 99, ("ư" * 99).encode("utf-16-be"))]
)
def test_a_payload_holds_the_whole_text(text, data):
    [body] = sent(text, long_text="payload")
    assert body.short_message == b""
    assert tlv_or_none(body.tlvs, TlvTag.MESSAGE_PAYLOAD) == data


def test_a_text_of_more_parts_than_a_header_can_number_is_refused():
    with pytest.raises(TextTooLongError):
        sent("x" * (153 * 255 + 1))


@pytest.mark.parametrize(
    ("seconds", "time"),
    [
        (1, "000000000001000R"),
        (24 * 3_600, "000001000000000R"),
        (31 * 86_400 + 3_661, "000101010101000R"),
        (400 * 86_400, "010110000000000R"),
    ],
)
def test_validity_is_written_as_a_relative_time(seconds, time):
    assert relative_time(seconds) == time
    assert sent("x", valid_s=seconds)[0].validity_period == time
