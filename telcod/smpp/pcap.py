"""PDUs as a capture file for Wireshark: Ethernet, IP and TCP made up around them.  Pure.

The addresses and ports are the real ones, the sequence numbers go on without gaps, and the
checksums are right, so that the dissector follows each connection as if it had been captured on the
wire.  A connection begins with a handshake of its own, also when the trace began in the middle.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import Struct
from typing import Final

from telcod.smpp.tap import Direction, Ends

LINK_ETHERNET: Final = 1
SNAP_BYTES: Final = 65_535
SEGMENT_BYTES_MAX: Final = 1_448
"""What a TCP segment carries on an Ethernet of 1,500 octets, with room for options."""

_FILE_HEADER: Final = Struct("<IHHiIII")
_MAGIC: Final = 0xA1B2C3D4  # Microseconds.
_RECORD: Final = Struct("<IIII")
_ETHERNET: Final = Struct(">6s6sH")
_IPV4: Final = Struct(">BBHHHBBH4s4s")
_IPV6: Final = Struct(">IHBB16s16s")
_TCP: Final = Struct(">HHIIBBHHH")

# Locally administered, so that nobody takes them for a card's.
_OWN_MAC: Final = bytes.fromhex("020000000001")
_PEER_MAC: Final = bytes.fromhex("020000000002")

_SYN: Final = 0x02
_ACK: Final = 0x10
_PUSH: Final = 0x08
_TCP_PROTOCOL: Final = 6
_WINDOW: Final = 0xFFFF
_HOPS: Final = 64
_DO_NOT_FRAGMENT: Final = 0x4000
_NUMBERS: Final = 1 << 32
_NO_ADDRESS: Final = "0.0.0.0"

_IpAddress = IPv4Address | IPv6Address


def file_header() -> bytes:
    """What the file begins with."""
    return _FILE_HEADER.pack(_MAGIC, 2, 4, 0, 0, SNAP_BYTES, LINK_ETHERNET)


class Capture:
    """Makes the records of one file, connection by connection."""

    def __init__(self) -> None:
        # By connection: the next sequence numbers, ours and the peer's.
        self._next: dict[Ends, dict[Direction, int]] = {}
        self._packets = 0

    def records(self, ends: Ends, direction: Direction, frame: bytes, at_ms: int) -> bytes:
        """The records that carry a PDU, behind a handshake if its connection is new.

        Args:
            ends: Both ends of the connection.
            direction: "in" from the peer, "out" from us.
            frame: The PDU.
            at_ms: Unix milliseconds.
        """
        made = b""
        if ends not in self._next:
            made = self._handshake(ends, at_ms)
        for start in range(0, len(frame), SEGMENT_BYTES_MAX):
            piece = frame[start : start + SEGMENT_BYTES_MAX]
            made += self._record(ends, direction, piece, _PUSH | _ACK, at_ms)
        return made

    def _handshake(self, ends: Ends, at_ms: int) -> bytes:
        self._next[ends] = {"out": 0, "in": 0}
        # Who connected can't be seen here; an SMSC's outbind looks as if we had.
        return (
            self._record(ends, "out", b"", _SYN, at_ms)
            + self._record(ends, "in", b"", _SYN | _ACK, at_ms)
            + self._record(ends, "out", b"", _ACK, at_ms)
        )

    def _record(
        self, ends: Ends, direction: Direction, data: bytes, flags: int, at_ms: int
    ) -> bytes:
        numbers = self._next[ends]
        other: Direction = "in" if direction == "out" else "out"
        own, peer = _addresses(ends)
        ports = (ends.own_port, ends.peer_port)
        source, target = (own, peer) if direction == "out" else (peer, own)
        if direction == "in":
            ports = (ends.peer_port, ends.own_port)
        acknowledged = numbers[other] if flags & _ACK else 0
        segment = _segment(source, target, ports, numbers[direction], acknowledged, flags, data)
        numbers[direction] = (numbers[direction] + len(data) + bool(flags & _SYN)) % _NUMBERS
        self._packets += 1
        macs = (_PEER_MAC, _OWN_MAC) if direction == "out" else (_OWN_MAC, _PEER_MAC)
        packet = _packet(source, target, segment, self._packets, macs)
        seconds, ms = divmod(at_ms, 1_000)
        return _RECORD.pack(seconds % _NUMBERS, ms * 1_000, len(packet), len(packet)) + packet


def _addresses(ends: Ends) -> tuple[_IpAddress, _IpAddress]:
    own, peer = _address(ends.own_host), _address(ends.peer_host)
    # A connection whose end is gone has no address any more; both must be of one kind.
    if own.version == peer.version:
        return own, peer
    return ip_address(_NO_ADDRESS), ip_address(_NO_ADDRESS)


def _address(host: str) -> _IpAddress:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return ip_address(_NO_ADDRESS)


def _packet(
    source: _IpAddress, target: _IpAddress, segment: bytes, number: int, macs: tuple[bytes, bytes]
) -> bytes:
    if source.version == 6:
        header = _IPV6.pack(
            6 << 28, len(segment), _TCP_PROTOCOL, _HOPS, source.packed, target.packed
        )
        return _ETHERNET.pack(*macs, 0x86DD) + header + segment
    fields = [
        0x45,
        0,
        _IPV4.size + len(segment),
        number & 0xFFFF,
        _DO_NOT_FRAGMENT,
        _HOPS,
        _TCP_PROTOCOL,
        0,
        source.packed,
        target.packed,
    ]
    fields[7] = _checksum(_IPV4.pack(*fields))
    return _ETHERNET.pack(*macs, 0x0800) + _IPV4.pack(*fields) + segment


def _segment(
    source: _IpAddress,
    target: _IpAddress,
    ports: tuple[int, int],
    sequence: int,
    acknowledged: int,
    flags: int,
    data: bytes,
) -> bytes:
    fields = [*ports, sequence, acknowledged, (_TCP.size // 4) << 4, flags, _WINDOW, 0, 0]
    length = _TCP.size + len(data)
    # The pseudo header of RFC 9293 (3.1) and RFC 8200 (8.1): its sum is the same for both.
    pseudo = source.packed + target.packed + length.to_bytes(4) + _TCP_PROTOCOL.to_bytes(4)
    fields[7] = _checksum(pseudo + _TCP.pack(*fields) + data)
    return _TCP.pack(*fields) + data


def _checksum(octets: bytes) -> int:
    """RFC 1071: the complement of the sum of all 16-bit words, carries added."""
    if len(octets) % 2:
        octets += b"\0"
    total = sum(int.from_bytes(octets[at : at + 2]) for at in range(0, len(octets), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF
