"""The simulated SMSC's bytes: nothing a peer sends may raise out of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.simulator.smsc_wire import HEADER, Cutter, StreamBrokenError, decode, encode, frame

pytestmark = pytest.mark.rule("SMPP-2")

DELIVER = encode(
    "deliver_sm",
    sequence=7,
    fields={
        "source_addr": "84903123456",
        "destination_addr": "1566",
        "short_message": b"KT",
        "sar_msg_ref_num": 300,
        "ussd_service_op": b"\x01",
    },
    tlvs=((0x1401, b"vendor"),),
)


def test_a_pdu_comes_back_as_it_was_written():
    pdu = decode(DELIVER)
    assert (pdu.command, pdu.status, pdu.sequence, pdu.problem) == (
        "deliver_sm",
        0,
        7,
        "KeyError: 'ussd_service_op'",
    )
    plain = decode(encode("deliver_sm", sequence=1, fields={"short_message": b"KT"}))
    assert plain.user_data == b"KT"
    assert plain.fields["source_addr"] == ""


def test_a_tlv_that_smpplib_lacks_is_appended():
    assert DELIVER.endswith(bytes.fromhex("0501 0001 01") + b"\x14\x01\x00\x06vendor")
    assert HEADER.unpack_from(DELIVER)[0] == len(DELIVER)


def test_a_field_that_the_command_does_not_have_is_refused():
    with pytest.raises(ValueError, match="no field 'colour'"):
        encode("deliver_sm", sequence=1, fields={"colour": 1})


def test_an_error_response_has_no_body():
    data = encode("submit_sm_resp", sequence=3, status=0x58, fields={"message_id": "1"})
    assert data == HEADER.pack(16, 0x8000_0004, 0x58, 3)


@given(st.lists(st.binary(max_size=40), max_size=6), st.data())
def test_any_chunking_gives_the_same_frames(bodies, data):
    frames = [frame("enquire_link", body, sequence=1) for body in bodies]
    stream = b"".join(frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    cutter, got = Cutter(), list[bytes]()
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += cutter.feed(stream[start:stop])
    assert got == frames


@pytest.mark.parametrize("length", [0, 15, 65_537, 0xFFFF_FFFF])
def test_an_impossible_length_breaks_the_stream(length):
    with pytest.raises(StreamBrokenError):
        list(Cutter().feed(HEADER.pack(length, 4, 0, 1)))


@given(
    st.sampled_from([0x4, 0x5, 0x9, 0x15, 0x103, 0x8000_0004, 0x8000_0103, 0x8000_0009, 0x99]),
    st.binary(max_size=80),
)
def test_any_body_is_read_or_told_as_a_problem(command_id, body):
    data = HEADER.pack(16 + len(body), command_id, 0, 5) + body
    pdu = decode(data)
    assert pdu.sequence == 5
    assert pdu.problem or pdu.command


@given(st.integers(0, len(DELIVER) - 1), st.integers(0, 255))
def test_any_flipped_octet_is_read_or_told_as_a_problem(place, value):
    data = bytearray(DELIVER)
    data[place] = value
    assert isinstance(decode(bytes(data)).problem, str)
