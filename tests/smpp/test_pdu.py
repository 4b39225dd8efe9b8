"""PDUs both ways: the spec's octets, the limits of each field, and nothing that can raise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.smpp.layout import LAYOUTS, Kind
from telcod.smpp.pdu import (
    BadPdu,
    BindTransceiver,
    BindTransceiverResp,
    CommandId,
    CommandStatus,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    GenericNack,
    Header,
    Pdu,
    SmeAddress,
    SubmitMulti,
    SubmitSm,
    SubmitSmResp,
    Tlv,
    TlvTag,
    decode,
    decode_header,
    encode,
    encode_header,
    is_request,
)
from telcod.smpp.table_codec import decode_body, encode_body
from telcod.smpp.tlv import BodyError
from tests.smpp.strategies import (
    MANY,
    bodies,
    body_of,
    frame_of,
    pdus,
    spoiled_frames,
    with_true_length,
)
from tests.smpp.vectors import FRAMES, NAMES, VECTORS

QUICK_IDS = (
    CommandId.SUBMIT_SM,
    CommandId.DELIVER_SM,
    CommandId.SUBMIT_SM_RESP,
    CommandId.DELIVER_SM_RESP,
)
RESPONSES = [command_id for command_id in LAYOUTS if command_id & 0x8000_0000]


def decode_by_table(frame):
    """What `decode` says, without its quick ways."""
    if len(frame) < 16 or int.from_bytes(frame[:4], "big") != len(frame):
        return decode(frame)  # There are no quick ways for a broken frame.
    header = decode_header(frame)
    try:
        return Pdu(*header, decode_body(header.command_id, header.command_status, frame))
    except BodyError as error:
        return BadPdu(*header, error.status, error.reason)


@pytest.mark.rule("SMPP-1")
@pytest.mark.parametrize(("octets", "pdu"), VECTORS, ids=NAMES)
def test_a_vector_is_read_and_written(octets, pdu):
    frame = bytes.fromhex(octets)
    assert decode(frame) == pdu
    assert type(body_of(frame)) is type(pdu.body)
    assert frame_of(pdu) == frame


@pytest.mark.rule("SMPP-1")
def test_there_is_a_vector_for_every_command():
    assert {pdu.command_id for _, pdu in VECTORS} == set(CommandId)


@pytest.mark.rule("SMPP-1")
@given(pdus())
def test_what_is_written_is_read_again(pdu):
    assert decode(frame_of(pdu)) == pdu


@pytest.mark.rule("SMPP-1")
def test_a_memoryview_is_read_like_bytes():
    for frame in FRAMES:
        assert decode(memoryview(frame)) == decode(frame)
        assert decode_header(memoryview(frame)) == decode(frame)[:3]


# --- The quick ways and the table are one codec.


@pytest.mark.rule("SMPP-2")
@MANY
@given(spoiled_frames())
def test_quick_and_table_read_every_spoiled_frame_alike(frame):
    assert decode(frame) == decode_by_table(frame)


@pytest.mark.rule("SMPP-2")
@MANY
@given(st.sampled_from(QUICK_IDS), st.sampled_from([0, 0x45]), st.data())
def test_quick_and_table_read_fields_of_every_length_alike(command_id, status, data):
    # Aimed at the limits: each text one octet below, at and above its greatest size.
    octets = b""
    for field in LAYOUTS[command_id].fields:
        size = field.bytes_max + data.draw(st.sampled_from([-2, -1, 0]) | st.just(-field.bytes_max))
        match field.kind.name:
            case "C_OCTETS":
                octets += b"A" * max(size, 0) + b"\0"
            case "UINT8":
                octets += data.draw(st.binary(min_size=1, max_size=1))
            case "SHORT_MESSAGE":
                sm_length = data.draw(st.sampled_from([0, 1, 253, 254, 255]))
                octets += bytes((sm_length,)) + bytes(sm_length)
    octets += data.draw(st.sampled_from([b"", b"\x05", bytes.fromhex("1400000101")]))
    octets = octets[: data.draw(st.just(len(octets)) | st.integers(0, len(octets)))]
    frame = encode_header(CommandId.GENERIC_NACK, status, 1) + octets
    frame = with_true_length(frame[:4] + command_id.to_bytes(4, "big") + frame[8:])
    assert decode(frame) == decode_by_table(frame)


@pytest.mark.rule("SMPP-1")
@MANY
@given(bodies(layouts=tuple(LAYOUTS[command_id] for command_id in QUICK_IDS)))
def test_quick_and_table_write_alike(body):
    assert encode(body, sequence_number=1)[16:] == encode_body(body)


# Just beyond the limit of a row, and just within it: one field at a time, or one wrong field hides
# that another one is let through.
BEYOND = {
    Kind.C_OCTETS: lambda field: ["A" * field.bytes_max, "A\0", "\0", "đ"],
    Kind.UINT8: lambda field: [-1, 256, 0xD800, 0x110000],
    Kind.SHORT_MESSAGE: lambda field: [bytes(255)],
}
WITHIN = {
    Kind.C_OCTETS: lambda field: ["A" * (field.bytes_max - 1), "\xff"],
    Kind.UINT8: lambda field: [0, 255],
    Kind.SHORT_MESSAGE: lambda field: [b"", bytes(254)],
}


def one_field_at(limits):
    return [
        pytest.param(layout, field.name, value, id=f"{layout.body.__name__}-{field.name}-{number}")
        for layout in LAYOUTS.values()
        for field in layout.fields
        if field.kind in limits
        for number, value in enumerate(limits[field.kind](field))
    ]


def body_with(layout, name, value):
    fields = {name: value}
    if layout.body is SubmitMulti:  # The one body that cannot be written with its defaults.
        fields["dest_addresses"] = (SmeAddress(1, 1, "84903123456"),)
    return layout.body(**fields)


@pytest.mark.rule("SMPP-1")
@pytest.mark.parametrize(("layout", "name", "value"), one_field_at(BEYOND))
def test_a_field_just_beyond_its_limit_is_refused_by_name(layout, name, value):
    with pytest.raises(ValueError, match=rf"^{name}: "):
        encode(body_with(layout, name, value), sequence_number=1)


@pytest.mark.rule("SMPP-1")
@pytest.mark.parametrize(("layout", "name", "value"), one_field_at(WITHIN))
def test_a_field_just_within_its_limit_is_written_and_read(layout, name, value):
    body = body_with(layout, name, value)
    assert body_of(encode(body, sequence_number=1)) == body


_ANY_TEXT = st.text(max_size=22) | st.text(st.characters(max_codepoint=0xFF), max_size=66)
_ANY_INT = st.sampled_from([-1, 0, 255, 256, 0xD800, 0x10FFFF, 0x110000, 2**70])


@pytest.mark.rule("SMPP-1")
@MANY
@given(
    st.builds(
        SubmitSm,
        service_type=_ANY_TEXT,
        source_addr_ton=_ANY_INT,
        destination_addr=_ANY_TEXT,
        validity_period=_ANY_TEXT,
        sm_default_msg_id=_ANY_INT,
        short_message=st.binary(min_size=250, max_size=256) | st.just(b""),
        tlvs=st.sampled_from([(), (Tlv(0x0424, b"x"),), (Tlv(-1, b""),)]),
    )
    | st.builds(SubmitSmResp, message_id=_ANY_TEXT)
)
def test_quick_and_table_refuse_alike(body):
    def outcome(write):
        try:
            return write()
        except ValueError as error:
            return str(error)

    assert outcome(lambda: encode(body, sequence_number=1)[16:]) == outcome(
        lambda: encode_body(body)
    )


# --- Nothing that a peer sends can raise.


@pytest.mark.rule("SMPP-2")
@MANY
@given(spoiled_frames() | st.binary(max_size=80))
def test_any_frame_is_a_pdu_or_a_bad_pdu_that_can_be_answered(frame):
    answer = decode(frame)
    assert type(answer) in {Pdu, BadPdu}
    if isinstance(answer, BadPdu):
        assert CommandStatus(answer.error_status) is not CommandStatus.ESME_ROK
        assert answer.reason


@pytest.mark.rule("SMPP-2")
@MANY
@given(spoiled_frames())
def test_what_is_read_from_a_spoiled_frame_is_written_as_read_or_refused(frame):
    got = decode(frame)
    if isinstance(got, BadPdu):
        return
    try:
        again = frame_of(got)
    except ValueError:  # A peer may send what we must not, e.g. sequence_number 0.
        return
    assert decode(again) == got


@pytest.mark.rule("SMPP-2")
@pytest.mark.parametrize("frame", FRAMES, ids=NAMES)
def test_every_cut_of_every_vector_is_answered(frame):
    for end in range(len(frame)):
        assert isinstance(decode(frame[:end]), BadPdu)
        if end >= 16:
            cut = with_true_length(frame[:end])
            assert decode(cut) == decode_by_table(cut)


@pytest.mark.rule("SMPP-2")
@pytest.mark.parametrize("frame", FRAMES, ids=NAMES)
def test_every_octet_of_every_vector_may_be_wrong(frame):
    for at in range(4, len(frame)):
        for octet in {0, 0xFF, 0x7F, frame[at] ^ 1, frame[at] ^ 0x80} - {frame[at]}:
            flipped = frame[:at] + bytes((octet,)) + frame[at + 1 :]
            assert decode(flipped) == decode_by_table(flipped)


@pytest.mark.rule("SMPP-2")
@pytest.mark.parametrize("size", range(16))
def test_less_than_a_header_is_answered_with_zeros(size):
    assert decode(b"\1" * size)[:4] == (0, 0, 0, CommandStatus.ESME_RINVCMDLEN)
    with pytest.raises(ValueError, match="no header"):
        decode_header(bytes(size))


@pytest.mark.rule("SMPP-2")
def test_a_length_that_is_not_the_frames_is_an_invalid_command_length():
    frame = FRAMES[NAMES.index("DeliverSm")]
    assert decode(frame + b"\0")[:4] == (5, 0, 0x7FFFFFFF, CommandStatus.ESME_RINVCMDLEN)


@pytest.mark.rule("SMPP-2")
def test_an_sm_length_of_255_is_refused_though_the_octets_are_there():
    # Section 5.2.21: "0 to 254".
    whole = encode(DeliverSm(short_message=bytes(254)), sequence_number=1)
    assert body_of(whole).short_message == bytes(254)
    at = len(whole) - 255
    spoiled = with_true_length(whole[:at] + b"\xff" + bytes(255))
    assert decode(spoiled)[3] == CommandStatus.ESME_RINVMSGLEN


# --- Leniency: where the spec leaves no doubt what is meant.


@pytest.mark.rule("SMPP-2")
@pytest.mark.parametrize("command_id", RESPONSES, ids=lambda command_id: command_id.name)
def test_an_error_response_may_come_without_its_body(command_id):
    frame = encode_header(command_id, CommandStatus.ESME_RSYSERR, 5)
    assert len(frame) == 16
    assert decode(frame) == Pdu(command_id, 8, 5, LAYOUTS[command_id].body())


@pytest.mark.rule("SMPP-2")
@pytest.mark.parametrize("command_id", RESPONSES, ids=lambda command_id: command_id.name)
def test_an_ok_response_without_its_body_is_malformed_if_it_should_have_one(command_id):
    answer = decode(encode_header(command_id, 0, 5))
    assert isinstance(answer, BadPdu) == bool(LAYOUTS[command_id].fields)
    assert answer.sequence_number == 5


@pytest.mark.rule("SMPP-2")
@pytest.mark.parametrize("status", [0, CommandStatus.ESME_RSYSERR])
def test_a_request_without_its_body_is_malformed_whatever_its_status(status):
    for command_id, layout in LAYOUTS.items():
        if is_request(command_id) and layout.fields:
            header = encode_header(CommandId.GENERIC_NACK, status, 5)
            frame = header[:4] + command_id.to_bytes(4, "big") + header[8:]
            assert decode(frame)[:4] == (command_id, status, 5, CommandStatus.ESME_RINVCMDLEN)


@pytest.mark.rule("SMPP-1")
def test_a_bind_resp_of_a_3_3_peer_has_no_tlvs():
    frame = with_true_length(encode_header(0x8000_0009, 0, 1) + b"SMSC\0")
    assert body_of(frame) == BindTransceiverResp("SMSC", ())


@pytest.mark.rule("SMPP-2")
def test_vendor_statuses_and_any_sequence_number_are_read():
    frame = bytes.fromhex("00000011 80000004 00000420 ffffffff 00")
    assert decode(frame) == Pdu(0x80000004, 0x420, 0xFFFFFFFF, SubmitSmResp())
    # Some peers count from 0; the response must carry what they sent (2.6.1).
    deliver = encode(DeliverSm(), sequence_number=1)
    zero = decode(deliver[:12] + bytes(4) + deliver[16:])
    assert zero.sequence_number == 0
    assert decode(encode(DeliverSmResp(), sequence_number=0)).sequence_number == 0


@pytest.mark.rule("SMPP-2", "SMPP-7")
def test_unknown_odd_and_repeated_tlvs_do_not_harm_a_deliver_sm():
    odd = bytes.fromhex("130c0000 ffff0001aa 020400010f 05010001 01 05010001 02")
    frame = with_true_length(encode(DeliverSm(short_message=b"*1566#"), sequence_number=1) + odd)
    body = body_of(frame)
    assert body.short_message == b"*1566#"
    assert [tlv.tag for tlv in body.tlvs] == [0x130C, 0xFFFF, 0x0204, 0x0501, 0x0501]
    assert encode(body, sequence_number=1) == frame


@pytest.mark.rule("SMPP-3")
def test_a_peer_that_fills_both_text_fields_is_read():
    # 3.2.3 forbids it; to refuse would lose the text, so both are handed on.
    payload = bytes.fromhex("0424000178")
    frame = with_true_length(encode(DeliverSm(short_message=b"y"), sequence_number=1) + payload)
    body = body_of(frame)
    assert (body.short_message, body.tlvs) == (b"y", (Tlv(TlvTag.MESSAGE_PAYLOAD, b"x"),))


@pytest.mark.rule("SMPP-3")
def test_every_octet_survives_in_text_and_in_octet_fields():
    every = bytes(range(1, 256))
    body = DeliverSm(source_addr=every[-20:].decode("latin-1"), short_message=every[:254])
    assert body_of(encode(body, sequence_number=1)) == body


# --- What we send must be right.


@pytest.mark.rule("SMPP-1")
@pytest.mark.parametrize("sequence_number", [-1, 0, 0x8000_0000, 0x1_0000_0000])
def test_a_request_with_a_sequence_number_outside_the_spec_is_refused(sequence_number):
    for body in (SubmitSm(), EnquireLink(), BindTransceiver()):
        with pytest.raises(ValueError, match="sequence_number"):
            encode(body, sequence_number=sequence_number)
    with pytest.raises(ValueError, match="sequence_number"):
        encode_header(CommandId.ENQUIRE_LINK, 0, sequence_number)


@pytest.mark.rule("SMPP-6")
def test_a_request_without_a_body_may_be_written_as_a_header():
    written = encode_header(CommandId.ENQUIRE_LINK, 0, 0x7FFFFFFF)
    assert written == encode(EnquireLink(), sequence_number=0x7FFFFFFF)


@pytest.mark.rule("SMPP-1")
def test_a_request_with_a_status_is_refused():
    with pytest.raises(ValueError, match="command_status"):
        encode(EnquireLink(), command_status=1, sequence_number=1)


@pytest.mark.rule("SMPP-1")
@pytest.mark.parametrize(("status", "sequence_number"), [(0, -1), (0, 2**32), (2**32, 1), (-1, 1)])
def test_a_response_is_refused_only_beyond_32_bits(status, sequence_number):
    with pytest.raises(ValueError, match="32 bits"):
        encode(SubmitSmResp(), command_status=status, sequence_number=sequence_number)


@pytest.mark.rule("SMPP-2")
def test_a_pdu_that_no_framer_would_take_is_refused():
    with pytest.raises(ValueError, match="command_length"):
        encode(SubmitSm(tlvs=(Tlv(0x0424, bytes(65_535)),)), sequence_number=1)


@pytest.mark.rule("SMPP-2")
def test_generic_nack_is_only_a_header():
    nack = encode(GenericNack(), command_status=3, sequence_number=0)
    assert nack == encode_header(CommandId.GENERIC_NACK, 3, 0)
    assert decode_header(nack) == Header(0x80000000, 3, 0)
