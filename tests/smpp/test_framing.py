"""Whatever the network does to the stream, the PDUs are the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.smpp.framing import PDU_BYTES_MAX, Framer, FramingLost
from telcod.smpp.pdu import BadPdu, CommandStatus, DataSm, EnquireLink, Pdu, Tlv, decode, encode
from tests.smpp.strategies import FRAMES as ANY_FRAME
from tests.smpp.strategies import MANY, pdus, spoiled_frames
from tests.smpp.vectors import FRAMES, VECTORS

EXPECTED = [pdu for _, pdu in VECTORS]
BIGGEST = encode(DataSm(tlvs=(Tlv(0x0424, bytes(PDU_BYTES_MAX - 16 - 10 - 4)),)), sequence_number=1)


def header(length):
    return length.to_bytes(4, "big") + bytes.fromhex("00000015 00000000 00000001")


def pieces(stream, cuts):
    cuts = sorted(cuts)
    return [
        stream[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True)
    ]


@pytest.mark.rule("SMPP-2")
@given(st.lists(ANY_FRAME, max_size=5), st.data())
def test_any_chunking_gives_the_same_pdus(frames, data):
    stream = b"".join(frames)
    framer = Framer()
    got: list[Pdu | BadPdu] = []
    for piece in pieces(stream, data.draw(st.lists(st.integers(0, len(stream)), max_size=12))):
        framer.feed(piece)
        got += framer.pdus()
    assert got == [decode(frame) for frame in frames]
    assert framer.partial_bytes == 0


@pytest.mark.rule("SMPP-2")
def test_one_byte_at_a_time_gives_the_same_pdus():
    framer = Framer()
    got: list[Pdu | BadPdu] = []
    for octet in b"".join(FRAMES):
        framer.feed(bytes((octet,)))
        got += framer.pdus()
    assert got == EXPECTED


@pytest.mark.rule("SMPP-2")
def test_all_at_once_gives_the_same_pdus_and_the_frames_as_they_came():
    framer = Framer()
    framer.feed(memoryview(b"".join(FRAMES)))
    assert list(framer.pdus()) == EXPECTED
    framer.feed(bytearray(b"".join(FRAMES)))
    assert list(framer.frames()) == FRAMES


@pytest.mark.rule("SMPP-2")
def test_taking_and_feeding_may_be_mixed():
    framer = Framer()
    framer.feed(FRAMES[0] + FRAMES[1] + FRAMES[2][:20])
    taken = framer.pdus()
    assert next(taken) == EXPECTED[0]
    framer.feed(FRAMES[2][20:])  # While the iterator is half used...
    assert [*taken] == EXPECTED[1:3]
    framer.feed(FRAMES[3] + FRAMES[4])
    assert next(framer.pdus()) == EXPECTED[3]  # ... or thrown away.
    assert list(framer.pdus()) == [EXPECTED[4]]


@pytest.mark.rule("SMPP-2")
def test_a_bad_pdu_does_not_harm_the_next():
    malformed = bytes.fromhex("00000013 00000005 00000000 00000002 555353")
    unknown = bytes.fromhex("00000012 00000777 00000000 00000003 aabb")
    framer = Framer()
    framer.feed(FRAMES[0] + malformed + unknown + FRAMES[1])
    good, bad, nacked, last = framer.pdus()
    assert (good, last) == (EXPECTED[0], EXPECTED[1])
    assert bad[:4] == (5, 0, 2, CommandStatus.ESME_RINVCMDLEN)
    assert nacked[:4] == (0x777, 0, 3, CommandStatus.ESME_RINVCMDID)


@pytest.mark.rule("SMPP-2")
@pytest.mark.parametrize("length", [0, 1, 15, PDU_BYTES_MAX + 1, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_an_impossible_length_loses_the_framing_after_the_pdus_before_it(length):
    framer = Framer()
    framer.feed(FRAMES[0] + header(length) + FRAMES[1])
    taken = framer.pdus()
    assert next(taken) == EXPECTED[0]
    with pytest.raises(FramingLost, match=str(length)) as caught:
        next(taken)
    assert caught.value.length == length


@pytest.mark.rule("SMPP-2")
def test_four_octets_are_enough_to_see_that_the_length_lies():
    framer = Framer()
    framer.feed(b"\xff\xff\xff")
    assert list(framer.pdus()) == []
    framer.feed(b"\xff")
    with pytest.raises(FramingLost):
        list(framer.pdus())


@pytest.mark.rule("SMPP-2")
def test_once_lost_always_lost_and_nothing_is_held():
    framer = Framer()
    framer.feed(header(3))
    for _ in range(3):
        with pytest.raises(FramingLost) as caught:
            list(framer.pdus())
        assert caught.value.length == 3
        framer.feed(FRAMES[0])
        assert framer.partial_bytes == 0


@pytest.mark.rule("SMPP-2")
def test_the_biggest_pdu_is_taken_whole_and_nothing_is_kept_of_it():
    assert len(BIGGEST) == PDU_BYTES_MAX
    framer = Framer()
    for start in range(0, PDU_BYTES_MAX, 1000):
        assert list(framer.pdus()) == []
        assert framer.partial_bytes == start
        framer.feed(BIGGEST[start : start + 1000])
    (frame,) = framer.frames()
    assert frame == BIGGEST
    assert framer.partial_bytes == 0


@pytest.mark.rule("SMPP-6")
def test_partial_bytes_is_what_the_partial_pdu_timer_needs():
    framer = Framer()
    assert framer.partial_bytes == 0
    framer.feed(FRAMES[0] + FRAMES[1][:7])
    list(framer.pdus())
    assert framer.partial_bytes == 7
    framer.feed(FRAMES[1][7:])
    list(framer.pdus())
    assert framer.partial_bytes == 0


@pytest.mark.rule("SMPP-2")
def test_no_more_is_held_than_one_pdu_and_one_read():
    framer = Framer()
    stream = encode(EnquireLink(), sequence_number=1) * 5000
    held = 0
    for start in range(0, len(stream), 4099):  # Never on a boundary.
        framer.feed(stream[start : start + 4099])
        held = max(held, len(framer._buffer))
        for _ in framer.pdus():
            pass
    assert held <= 4099 + 16


@pytest.mark.rule("SMPP-2")
@MANY
@given(st.lists(spoiled_frames() | pdus().map(lambda _: FRAMES[0]), max_size=4), st.data())
def test_a_spoiled_stream_gives_pdus_bad_pdus_or_lost_framing_and_nothing_else(frames, data):
    stream = b"".join(frames)
    framer, lost_length = Framer(), None
    got: list[Pdu | BadPdu] = []
    for piece in pieces(stream, data.draw(st.lists(st.integers(0, len(stream)), max_size=4))):
        framer.feed(piece)
        try:
            got += framer.pdus()
        except FramingLost as lost:
            lost_length = lost.length
        assert framer.partial_bytes < PDU_BYTES_MAX
        if lost_length is not None:
            assert not 16 <= lost_length <= PDU_BYTES_MAX
            assert framer.partial_bytes == 0
    assert all(type(pdu) in {Pdu, BadPdu} for pdu in got)
    assert len(got) <= len(stream) // 16
