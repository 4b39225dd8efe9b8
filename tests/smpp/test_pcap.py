"""What is written is a capture file: read back octet by octet here, and by tshark in test_trace."""

from ipaddress import ip_address
from struct import unpack_from

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.smpp.pcap import SEGMENT_BYTES_MAX, Capture, file_header
from telcod.smpp.tap import Ends

pytestmark = pytest.mark.rule("CLI-8", "SMPP-8")

ENDS = Ends(1, "10.0.0.1", 40_000, "10.0.0.2", 2_775)
ENDS_6 = Ends(2, "fd00::1", 40_001, "fd00::2", 2_775)
AT_MS = 1_790_000_000_123


def packets(data):
    """(seconds, microseconds, packet) of every record."""
    at = 0
    while at < len(data):
        seconds, micros, kept, whole = unpack_from("<IIII", data, at)
        assert kept == whole
        yield seconds, micros, data[at + 16 : at + 16 + kept]
        at += 16 + kept


def ones_complement(octets):
    octets += b"\0" * (len(octets) % 2)
    total = sum(unpack_from(f">{len(octets) // 2}H", octets))
    while total > 0xFFFF:
        total = (total >> 16) + (total & 0xFFFF)
    return total


class Packet:
    """One packet, whose checksums must be right."""

    def __init__(self, octets):
        kind = unpack_from(">H", octets, 12)[0]
        if kind == 0x0800:
            assert ones_complement(octets[14:34]) == 0xFFFF
            assert unpack_from(">H", octets, 16)[0] == len(octets) - 14
            self.source, self.target = octets[26:30], octets[30:34]
            tcp = octets[34:]
        else:
            assert kind == 0x86DD
            assert unpack_from(">H", octets, 18)[0] == len(octets) - 54
            self.source, self.target = octets[22:38], octets[38:54]
            tcp = octets[54:]
        pseudo = self.source + self.target + len(tcp).to_bytes(4) + (6).to_bytes(4)
        assert ones_complement(pseudo + tcp) == 0xFFFF
        self.ports = unpack_from(">HH", tcp)
        self.sequence, self.acknowledged = unpack_from(">II", tcp, 4)
        self.flags = tcp[13]
        self.data = tcp[20:]


def made(capture, *frames, ends=ENDS):
    data = b"".join(capture.records(ends, way, frame, AT_MS) for way, frame in frames)
    return [Packet(octets) for _, _, octets in packets(data)]


def test_the_file_begins_as_a_capture_of_ethernet_in_microseconds():
    assert unpack_from("<IHHiIII", file_header()) == (0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)


def test_a_connection_begins_with_a_handshake_and_only_once():
    capture = Capture()
    assert [each.flags for each in made(capture, ("in", b"x"))] == [0x02, 0x12, 0x10, 0x18]
    assert [each.flags for each in made(capture, ("out", b"y"))] == [0x18]


@pytest.mark.parametrize("ends", [ENDS, ENDS_6], ids=["IPv4", "IPv6"])
def test_a_pdu_goes_between_the_real_addresses_and_ports(ends):
    *_, out = made(Capture(), ("out", b"abc"), ends=ends)
    assert (out.source, out.target) == tuple(
        ip_address(host).packed for host in (ends.own_host, ends.peer_host)
    )
    assert out.ports == (ends.own_port, ends.peer_port)
    *_, back = made(Capture(), ("in", b"abc"), ends=ends)
    assert (back.source, back.target) == (out.target, out.source)
    assert back.ports == (ends.peer_port, ends.own_port)


@given(st.lists(st.tuples(st.sampled_from(["in", "out"]), st.binary(min_size=1, max_size=5_000))))
def test_each_way_is_one_stream_without_gaps_that_acknowledges_the_other(frames):
    streams, upto = {"in": b"", "out": b""}, {"in": 1, "out": 1}
    for packet in made(Capture(), *frames)[3:]:
        way, other = ("out", "in") if packet.ports[1] == ENDS.peer_port else ("in", "out")
        assert packet.sequence == upto[way]
        assert packet.acknowledged == upto[other]
        assert 0 < len(packet.data) <= SEGMENT_BYTES_MAX
        streams[way] += packet.data
        upto[way] += len(packet.data)
    assert streams == {
        way: b"".join(frame for there, frame in frames if there == way) for way in streams
    }


def test_the_time_is_that_of_the_pdu():
    record = Capture().records(ENDS, "in", b"x", AT_MS)
    assert {(seconds, micros) for seconds, micros, _ in packets(record)} == {
        (1_790_000_000, 123_000)
    }


def test_an_end_without_an_address_does_no_harm():
    *_, packet = made(Capture(), ("in", b"x"), ends=Ends(1, "", 0, "fd00::2", 2_775))
    assert packet.source == packet.target == bytes(4)
