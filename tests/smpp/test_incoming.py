"""What a deliver_sm or data_sm holds, however the peer put it there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.smpp.consts import TlvTag
from telcod.smpp.incoming import (
    SAR_REFERENCE,
    TEXT_OCTETS_MAX,
    WIDE_REFERENCE,
    Piece,
    Receipt,
    Whole,
    identity,
    message_octets,
    read_incoming,
)
from telcod.smpp.pdu import DataSm, DeliverSm
from telcod.smpp.tlv import Tlv
from telcod.types import Concat

UDHI, RECEIPT, REPLY_PATH = 0x40, 0x04, 0x80
ALPHABETS = ("gsm7", "gsm7-packed", "latin1", "ascii")
PAYLOAD = TlvTag.MESSAGE_PAYLOAD


def sms(short_message=b"", **fields):
    return DeliverSm(
        source_addr="84903000001", destination_addr="1566", short_message=short_message, **fields
    )


def sar(reference, total, number):
    return (
        Tlv(TlvTag.SAR_MSG_REF_NUM, reference),
        Tlv(TlvTag.SAR_TOTAL_SEGMENTS, total),
        Tlv(TlvTag.SAR_SEGMENT_SEQNUM, number),
    )


@pytest.mark.rule("SMPP-3")
@pytest.mark.parametrize(
    ("body", "alphabet", "text"),
    [
        (sms(b"DK \x1b\x65"), "gsm7", "DK €"),
        (sms(b"\xc4\x25"), "gsm7-packed", "DK"),
        (sms(b"caf\xe9"), "latin1", "café"),
        (sms(b"DK"), "ascii", "DK"),
        (sms("Đăng ký".encode("utf-16-be"), data_coding=8), "gsm7", "Đăng ký"),
        (sms("\U0001f642".encode("utf-16-be"), data_coding=8), "gsm7", "\U0001f642"),
        (sms(b"caf\xe9", data_coding=3), "gsm7", "café"),
        (sms(b"\x05\x00\x03\x01\x01\x01KT", esm_class=UDHI), "gsm7", "KT"),  # One part of one.
        (sms(b"\x06\x05\x04\x0b\x84\x0b\x84KT", esm_class=UDHI), "gsm7", "KT"),  # Ports.
        (sms(tlvs=(Tlv(PAYLOAD, b"KT W"),)), "gsm7", "KT W"),
        (sms(b"KT", tlvs=(Tlv(PAYLOAD, b"DK"),)), "gsm7", "KT"),  # Never both; the first then.
        (DataSm(source_addr="1", tlvs=(Tlv(PAYLOAD, b"KT"),)), "gsm7", "KT"),
        (sms(b""), "gsm7", ""),
        (sms(b"KT", tlvs=sar(b"\0\1", b"\1", b"\1")), "gsm7", "KT"),
        (sms(b"KT", tlvs=sar(b"\0\1", b"\2", b"\3")), "gsm7", "KT"),
        (sms(b"KT", tlvs=sar(b"\0\1", b"\2", b"")), "gsm7", "KT"),
        (sms(b"KT", tlvs=sar(b"\0\1", b"\2", b"\1")[:2]), "gsm7", "KT"),
    ],
)
def test_a_whole_text_is_read(body, alphabet, text):
    assert read_incoming(body, alphabet) == Whole(text)


@pytest.mark.rule("SMPP-3")
@pytest.mark.parametrize(
    ("body", "alphabet", "piece"),
    [
        (sms(b"\5\0\3\x07\2\1KT", esm_class=UDHI), "gsm7", Piece(Concat(7, 2, 1), 0, b"KT")),
        (
            sms(b"\6\x08\4\1\x07\2\2KT", esm_class=UDHI),
            "gsm7",
            Piece(Concat(WIDE_REFERENCE + 263, 2, 2), 0, b"KT"),
        ),
        (
            sms(b"KT", tlvs=sar(b"\1\7", b"\3", b"\2")),
            "gsm7",
            Piece(Concat(SAR_REFERENCE + 263, 3, 2), 0, b"KT"),
        ),
        # Half a surrogate pair, and half an escape, wait for their other half.
        (
            sms(b"\5\0\3\7\2\1\xd8\x3d", esm_class=UDHI, data_coding=8),
            "gsm7",
            Piece(Concat(7, 2, 1), 8, b"\xd8\x3d"),
        ),
        (sms(b"\5\0\3\7\2\1K\x1b", esm_class=UDHI), "gsm7", Piece(Concat(7, 2, 1), 0, b"K\x1b")),
        # Parts of links with other alphabets become septets, or UTF-16 where they don't fit.
        (
            sms(b"\5\0\3\7\2\1KT \xa3", esm_class=UDHI),
            "latin1",
            Piece(Concat(7, 2, 1), 0, b"KT \1"),
        ),
        (
            sms(b"\5\0\3\7\2\1K\xfd", esm_class=UDHI, data_coding=3),
            "gsm7",
            Piece(Concat(7, 2, 1), 8, "Ký".encode("utf-16-be")),
        ),
    ],
)
def test_a_part_is_read_with_its_place(body, alphabet, piece):
    assert read_incoming(body, alphabet) == piece


@pytest.mark.rule("SMPP-4")
@pytest.mark.parametrize(
    ("body", "receipt"),
    [
        (sms(b"id:123 stat:DELIVRD", esm_class=RECEIPT), Receipt("123", True, True)),
        (sms(b"ID: 0a-F Stat: undeliv err:1", esm_class=RECEIPT), Receipt("0a-F", False, True)),
        (sms(b"id:9 stat:ENROUTE", esm_class=RECEIPT), Receipt("9", False, False)),
        (sms(b"id:9 stat:ACCEPTD", esm_class=RECEIPT), Receipt("9", True, True)),
        (sms(b"id:9 stat:DELIVRD", esm_class=0x20), Receipt("9", True, True)),
        (sms(b"\xff\xfe nothing", esm_class=RECEIPT), Receipt("", False, False)),
        (sms(b"", esm_class=RECEIPT | REPLY_PATH), Receipt("", False, False)),
        (sms(tlvs=(Tlv(TlvTag.RECEIPTED_MESSAGE_ID, b"77\0"),)), Receipt("77", False, False)),
        (
            sms(
                b"id:1 stat:UNDELIV",
                esm_class=RECEIPT,
                tlvs=(
                    Tlv(TlvTag.RECEIPTED_MESSAGE_ID, b"77\0"),
                    Tlv(TlvTag.MESSAGE_STATE, b"\2"),
                ),
            ),
            Receipt("77", True, True),
        ),
        (
            sms(b"id:1", esm_class=RECEIPT, tlvs=(Tlv(TlvTag.MESSAGE_STATE, b"\1"),)),
            Receipt("1", False, False),
        ),
    ],
)
def test_a_receipt_is_known_by_class_or_tlv_and_read_leniently(body, receipt):
    assert read_incoming(body, "gsm7") == receipt


@pytest.mark.rule("SMPP-4")
def test_a_text_that_looks_like_a_receipt_is_a_text():
    assert read_incoming(sms(b"id:1 stat:DELIVRD"), "gsm7") == Whole("id:1 stat:DELIVRD")


@pytest.mark.rule("SMPP-2", "SMPP-3")
@given(
    st.binary(max_size=254),
    st.integers(0, 255),
    st.integers(0, 255),
    st.lists(
        st.builds(Tlv, st.sampled_from([tag.value for tag in TlvTag]), st.binary(max_size=6)),
        max_size=5,
    ),
    st.sampled_from(ALPHABETS),
)
def test_nothing_that_a_peer_sends_raises(data, esm_class, data_coding, tlvs, alphabet):
    body = sms(data, esm_class=esm_class, data_coding=data_coding, tlvs=tuple(tlvs))
    read = read_incoming(body, alphabet)
    if isinstance(read, Piece):
        assert 1 <= read.concat.part <= read.concat.total
        assert read.concat.total > 1
    identity(body)


@pytest.mark.rule("SMPP-2")
def test_a_payload_is_cut_at_a_sane_length():
    body = sms(tlvs=(Tlv(PAYLOAD, b"x" * 60_000),))
    assert len(message_octets(body)) == TEXT_OCTETS_MAX


@pytest.mark.rule("SMPP-2")
def test_identity_is_equal_for_what_the_smsc_sends_again_and_for_nothing_else():
    body = sms(b"KT", data_coding=0, tlvs=sar(b"\0\1", b"\2", b"\1"))
    same = [
        body,
        sms(b"KT", esm_class=0x01, tlvs=body.tlvs),  # The messaging mode may differ.
        sms(b"KT", tlvs=(*body.tlvs, Tlv(0x1401, b"hop"))),
        sms(b"KT", tlvs=body.tlvs, priority_flag=1),
    ]
    others = [
        sms(b"KT"),
        sms(b"KT", data_coding=1, tlvs=body.tlvs),
        sms(b"KT", esm_class=RECEIPT, tlvs=body.tlvs),
        sms(b"KT", tlvs=sar(b"\0\1", b"\2", b"\2")),
        sms(b"KT", tlvs=sar(b"\0\2", b"\2", b"\1")),
        sms(b"KW", tlvs=body.tlvs),
        DeliverSm(source_addr="8490300000", destination_addr="11566", short_message=b"KT"),
    ]
    assert {identity(each) for each in same} == {identity(body)}
    assert len({identity(each) for each in (body, *others)}) == 1 + len(others)


@pytest.mark.rule("SMPP-3")
def test_a_nul_in_a_text_is_something_that_every_database_keeps():
    whole = read_incoming(sms("a\0b".encode("utf-16-be"), data_coding=8), "gsm7")
    assert whole == Whole("a\ufffdb")
