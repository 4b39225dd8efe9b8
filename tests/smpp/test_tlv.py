"""Optional parameters: kept whatever they are, refused only when their length lies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.smpp.consts import CommandStatus, TlvTag
from telcod.smpp.tlv import BodyError, Tlv, decode_tlvs, encode_tlvs, tlv_or_none

pytestmark = pytest.mark.rule("SMPP-2")


@given(st.lists(st.builds(Tlv, st.integers(0, 0xFFFF), st.binary(max_size=300)), max_size=5))
def test_what_is_written_is_read_again_in_the_same_order(tlvs):
    assert decode_tlvs(b"junk" + encode_tlvs(tlvs), 4) == tuple(tlvs)


def test_unknown_and_repeated_ones_are_kept_and_the_first_one_wins():
    tlvs = decode_tlvs(bytes.fromhex("1400 0001 aa 0204 0002 0001 0204 0002 0002"), 0)
    assert tlvs == (Tlv(0x1400, b"\xaa"), Tlv(0x0204, b"\0\x01"), Tlv(0x0204, b"\0\x02"))
    assert tlv_or_none(tlvs, TlvTag.USER_MESSAGE_REFERENCE) == b"\0\x01"
    assert tlv_or_none(tlvs, 0x1400) == b"\xaa"
    assert tlv_or_none(tlvs, TlvTag.MESSAGE_PAYLOAD) is None
    assert tlv_or_none((), TlvTag.MESSAGE_PAYLOAD) is None


def test_a_zero_length_is_a_value_of_no_octets():
    tlvs = decode_tlvs(bytes.fromhex("130c 0000 0501 0001 02"), 0)
    assert tlvs == (Tlv(TlvTag.ALERT_ON_MESSAGE_DELIVERY, b""), Tlv(0x0501, b"\x02"))
    assert tlv_or_none(tlvs, TlvTag.ALERT_ON_MESSAGE_DELIVERY) == b""


def test_an_odd_length_for_a_known_tag_is_the_readers_business():
    assert decode_tlvs(bytes.fromhex("0204 0003 000001"), 0) == (Tlv(0x0204, b"\0\0\x01"),)


@pytest.mark.parametrize("octets", ["0501 0002 02", "0424 ffff 00", "0501 0001"])
def test_a_length_beyond_the_frame_is_an_invalid_parameter_length(octets):
    with pytest.raises(BodyError) as caught:
        decode_tlvs(bytes.fromhex(octets), 0)
    assert caught.value.status == CommandStatus.ESME_RINVPARLEN


@pytest.mark.parametrize("octets", ["00", "0501", "050100", "0501 0001 02 00"])
def test_a_frame_that_ends_inside_a_head_is_an_error_in_the_optional_part(octets):
    with pytest.raises(BodyError) as caught:
        decode_tlvs(bytes.fromhex(octets), 0)
    assert caught.value.status == CommandStatus.ESME_RINVOPTPARSTREAM


@pytest.mark.parametrize("tlv", [Tlv(0x10000, b""), Tlv(-1, b""), Tlv(0x0424, bytes(0x10000))])
def test_a_tag_or_a_value_that_does_not_fit_is_refused_by_name(tlv):
    with pytest.raises(ValueError, match=r"^tlvs: "):
        encode_tlvs([tlv])
