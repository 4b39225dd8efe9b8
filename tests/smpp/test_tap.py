"""A trace sees every frame, and no password."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.smpp.consts import TlvTag
from telcod.smpp.pdu import (
    BindReceiver,
    BindTransceiver,
    BindTransmitter,
    DataSm,
    DeliverSm,
    EnquireLink,
    Outbind,
    Pdu,
    SubmitSm,
    decode,
    encode,
)
from telcod.smpp.tap import FrameTap, blanked, redacted
from telcod.smpp.tlv import Tlv

pytestmark = pytest.mark.rule("SMPP-8")

FRAMES = [
    encode(BindTransceiver(system_id="telcod", password="geheim"), sequence_number=1),
    encode(EnquireLink(), sequence_number=2),
    encode(DeliverSm(short_message=b"KT"), sequence_number=3),
]


@pytest.mark.parametrize("body", [BindReceiver, BindTransceiver, BindTransmitter, Outbind])
def test_the_password_is_painted_over_and_the_rest_is_as_it_was(body):
    frame = redacted(encode(body(system_id="telcod", password="geheim"), sequence_number=7))
    assert decode(frame)[3] == body(system_id="telcod", password="******")
    assert b"geheim" not in frame


def test_other_pdus_are_shown_as_they_are():
    assert [redacted(frame) for frame in FRAMES[1:]] == FRAMES[1:]


@given(st.binary(max_size=40))
def test_a_garbled_bind_is_shown_without_a_word_that_could_be_the_password(body):
    frame = (16 + len(body)).to_bytes(4, "big") + bytes([0, 0, 0, 9]) + bytes(8) + body
    shown = redacted(frame)
    assert len(shown) == len(frame)
    fields = body.split(b"\0")
    if len(fields) < 2:
        assert set(shown[16:]) <= {ord("*")}
    else:
        assert shown[16 + len(fields[0]) + 1 :].split(b"\0")[0].strip(b"*") == b""


@given(st.data())
def test_any_chunking_gives_the_same_frames(data):
    seen = []
    tap = FrameTap(lambda direction, frame: seen.append((direction, frame)))
    stream = b"".join(FRAMES)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        tap.feed("out", stream[start:stop])
    assert seen == [("out", redacted(frame)) for frame in FRAMES]


def test_the_two_directions_do_not_mix():
    seen = []
    tap = FrameTap(lambda direction, frame: seen.append((direction, frame)))
    tap.feed("in", FRAMES[1][:5])
    tap.feed("out", FRAMES[2])
    tap.feed("in", FRAMES[1][5:])
    assert seen == [("out", FRAMES[2]), ("in", FRAMES[1])]


def test_after_an_impossible_length_nothing_more_is_shown():
    seen = []
    tap = FrameTap(lambda direction, frame: seen.append(frame))
    tap.feed("in", bytes(16))
    tap.feed("in", FRAMES[1])
    assert seen == []


# ------------------------------------------------------------------ texts that may hold a password

CODES = ("9223",)
SECRET = b"MK geheim1"


def text_to(code, text=SECRET, **fields):
    body = DeliverSm(source_addr="84903000001", destination_addr=code, short_message=text, **fields)
    return encode(body, sequence_number=9)


def body_of(frame) -> Any:
    pdu = decode(frame)
    assert isinstance(pdu, Pdu)
    return pdu.body


@pytest.mark.rule("PAY-1")
@pytest.mark.parametrize(
    "frame",
    [
        text_to("9223"),
        text_to("+9223"),
        text_to("9223", b"", tlvs=(Tlv(TlvTag.MESSAGE_PAYLOAD, SECRET),)),
        encode(
            SubmitSm(source_addr="9223", destination_addr="84903000001", short_message=SECRET),
            sequence_number=1,
        ),
        encode(
            DataSm(destination_addr="9223", tlvs=(Tlv(TlvTag.MESSAGE_PAYLOAD, SECRET),)),
            sequence_number=1,
        ),
    ],
    ids=["to it", "with a plus", "as a payload", "from it", "data_sm"],
)
def test_a_text_to_or_from_a_code_that_takes_passwords_is_painted_over(frame):
    shown = blanked(frame, CODES)
    assert b"geheim1" not in shown
    assert len(shown) == len(frame)
    assert b"*" * len(SECRET) in shown
    body, before = body_of(shown), body_of(frame)
    assert (body.source_addr, body.destination_addr) == (
        before.source_addr,
        before.destination_addr,
    )


def test_the_header_of_a_long_text_stays():
    header = bytes.fromhex("050003010201")
    shown = body_of(blanked(text_to("9223", header + SECRET, esm_class=0x40), CODES))
    assert shown.short_message == header + b"*" * len(SECRET)


def test_other_texts_and_other_pdus_are_left_as_they_are():
    for frame in (*FRAMES, text_to("1566")):
        assert blanked(frame, CODES) == frame


@given(st.binary(max_size=60), st.sampled_from([0x04, 0x05, 0x07, 0x21, 0x103]))
def test_a_text_that_cannot_be_read_shows_nothing(body, command_id):
    frame = (16 + len(SECRET + body)).to_bytes(4) + command_id.to_bytes(4) + bytes(7) + b"\1"
    shown = blanked(frame + SECRET + body, CODES)
    assert b"geheim1" not in shown
    assert len(shown) == len(frame + SECRET + body)
    assert shown[:16] == frame


def test_a_tap_that_begins_in_the_middle_of_a_pdu_sees_it_whole():
    seen = []
    tap = FrameTap(lambda *each: seen.append(each), begun=FRAMES[2][:7])
    tap.feed("in", FRAMES[2][7:])
    assert seen == [("in", FRAMES[2])]


@pytest.mark.rule("SELF-1")
def test_a_login_code_that_telcod_sends_is_painted_over_and_nothing_else():
    def sent(text, **tlvs):
        return encode(
            SubmitSm(
                source_addr="1566", destination_addr="84903000001", short_message=text, **tlvs
            ),
            sequence_number=1,
        )

    text = b"Ma dang nhap: 123456, den 10:05 02/03/2026. LH 9090. 0903000001 1.000d"
    painted = text.replace(b"123456", b"******")
    parts = (Tlv(TlvTag.SAR_TOTAL_SEGMENTS, b"\x01"),)
    assert blanked(sent(text, tlvs=parts), CODES) == sent(painted, tlvs=parts)
    assert blanked(sent(painted), CODES) == sent(painted)
