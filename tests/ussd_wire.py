"""smpplib, helped to read USSD: it has no ussd_service_op in a deliver_sm."""

import struct

import smpplib.smpp

OPERATION = bytes.fromhex("05010001")  # The tag, and a length of one octet.


def read_ussd(client):
    """Read one deliver_sm of USSD from a client's socket: its operation, and the rest of it."""
    head = _octets(client, 16)
    frame = head + _octets(client, struct.unpack(">L", head[:4])[0] - 16)
    before, tlv, after = frame.partition(OPERATION)
    assert tlv, frame.hex(" ")
    rest = before + after[1:]
    rest = struct.pack(">L", len(rest)) + rest[4:]
    return after[0], smpplib.smpp.parse_pdu(rest, client=client, allow_unknown_opt_params=True)


def _octets(client, count):
    data = b""
    while len(data) < count:
        more = client._socket.recv(count - len(data))
        if not more:
            raise ConnectionError("the SMSC closed the connection")
        data += more
    return data
