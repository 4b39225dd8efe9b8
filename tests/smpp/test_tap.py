"""A trace sees every frame, and no password."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.smpp.pdu import (
    BindReceiver,
    BindTransceiver,
    BindTransmitter,
    DeliverSm,
    EnquireLink,
    Outbind,
    decode,
    encode,
)
from telcod.smpp.tap import FrameTap, redacted

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
