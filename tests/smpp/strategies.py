"""Hypothesis strategies for SMPP: any PDU that may be sent, and any way of spoiling a frame.

Values are drawn from the table of layouts, with a share of them at the limit of their field:
that is where length checks err.
"""

from hypothesis import settings
from hypothesis import strategies as st

from telcod.smpp.layout import COMMAND_IDS, LAYOUTS, Kind
from telcod.smpp.pdu import (
    DistributionList,
    Pdu,
    SmeAddress,
    Tlv,
    TlvTag,
    UnsuccessSme,
    decode,
    encode,
    is_request,
)

LATIN_1 = st.characters(min_codepoint=1, max_codepoint=0xFF)
UINT8 = st.integers(0, 0xFF)
SEQUENCES = st.one_of(st.sampled_from([1, 0x7FFFFFFF]), st.integers(1, 0x7FFFFFFF))


def texts(bytes_max, alphabet=LATIN_1):
    """C-octet strings of a field of that size, the NUL included."""
    longest = st.text(alphabet, min_size=bytes_max - 1, max_size=bytes_max - 1)
    return st.one_of(st.just(""), st.text(alphabet, max_size=min(12, bytes_max - 1)), longest)


SHORT_MESSAGES = st.one_of(st.binary(max_size=20), st.binary(min_size=253, max_size=254))
TLVS = st.lists(
    st.builds(
        Tlv,
        st.one_of(st.sampled_from([int(tag) for tag in TlvTag]), st.integers(0, 0xFFFF)),
        st.one_of(st.binary(max_size=6), st.binary(min_size=300, max_size=300)),
    ),
    max_size=4,
).map(tuple)
SME_ADDRESSES = st.builds(SmeAddress, UINT8, UINT8, texts(21))
DESTINATIONS = st.one_of(SME_ADDRESSES, st.builds(DistributionList, texts(21)))
UNSUCCESS = st.builds(UnsuccessSme, UINT8, UINT8, texts(21), st.integers(0, 0xFFFFFFFF))


def values(field):
    match field.kind:
        case Kind.C_OCTETS:
            return texts(field.bytes_max)
        case Kind.UINT8:
            return UINT8
        case Kind.SHORT_MESSAGE:
            return SHORT_MESSAGES
        case Kind.DEST_ADDRESSES:
            return st.lists(DESTINATIONS, min_size=1, max_size=3).map(tuple)
        case Kind.UNSUCCESS_SMES:
            return st.lists(UNSUCCESS, max_size=3).map(tuple)


# For properties over spoiled frames: most accidents are dull, so it takes many to meet a rare one.
MANY = settings(max_examples=4 * settings().max_examples)

ALL_LAYOUTS = tuple(LAYOUTS.values())


@st.composite
def bodies(draw, layouts=ALL_LAYOUTS):
    layout = draw(st.sampled_from(layouts))
    fields = {field.name: draw(values(field)) for field in layout.fields}
    if layout.tlvs:
        tlvs = draw(TLVS)
        if fields.get("short_message"):  # Never together with message_payload.
            tlvs = tuple(tlv for tlv in tlvs if tlv.tag != TlvTag.MESSAGE_PAYLOAD)
        fields["tlvs"] = tlvs
    return layout.body(**fields)


@st.composite
def pdus(draw):
    body = draw(bodies())
    command_id = COMMAND_IDS[type(body)]
    if is_request(command_id):
        return Pdu(command_id, 0, draw(SEQUENCES), body)
    return Pdu(command_id, draw(st.sampled_from([0, 1, 0x58, 0x4FF])), draw(SEQUENCES), body)


def frame_of(pdu):
    return encode(pdu.body, command_status=pdu.command_status, sequence_number=pdu.sequence_number)


def body_of(frame):
    """The body that is read from a frame; the test fails if there is none."""
    pdu = decode(frame)
    assert isinstance(pdu, Pdu), pdu
    return pdu.body


def with_true_length(frame):
    return len(frame).to_bytes(4, "big") + frame[4:]


FRAMES = pdus().map(frame_of)


@st.composite
def spoiled_frames(draw):
    """A valid frame after one to three accidents; its command_length may or may not know."""
    frame = bytearray(draw(FRAMES))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(frame)))
        match draw(st.sampled_from(["flip", "cut", "insert", "drop", "lie", "splice"])):
            case "flip" if at < len(frame):
                frame[at] ^= draw(st.integers(1, 0xFF))
            case "cut":
                del frame[at:]
            case "insert":
                frame[at:at] = draw(st.binary(min_size=1, max_size=8))
            case "drop":
                del frame[at : at + draw(st.integers(1, 8))]
            case "lie" if at < len(frame):  # Any octet may be a length.
                frame[at] = draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFE, 0xFF]))
            case "splice":
                other = draw(FRAMES)
                frame[at:] = other[draw(st.integers(0, len(other))) :]
    octets = bytes(frame)
    return with_true_length(octets) if draw(st.booleans()) and len(octets) >= 4 else octets
