"""Bytes of the simulated SMSC: frames, and PDUs by smpplib's codec.  Pure.

telcod's own codec is not used here on purpose: the two must agree on the wire.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from smpplib import command_codes, consts, exceptions, smpp

from telcod.simulator.smsc_behaviour import STATUS_OK

HEADER: Final = struct.Struct(
    ">LLLL"
)  # command_length, command_id, command_status, sequence_number
TLV_HEADER: Final = struct.Struct(">HH")
FRAME_BYTES_MAX: Final = 64 * 1024
TLV_TAGS: Final[Mapping[str, int]] = consts.OPTIONAL_PARAMS

Tlv = tuple[int, bytes]

# What smpplib raises on a body that it cannot read; it was not made for hostile bytes.
_UNREADABLE: Final = (
    exceptions.UnknownCommandError,
    struct.error,
    KeyError,
    IndexError,
    ValueError,
    TypeError,
)


class StreamBrokenError(Exception):
    """The stream can no longer be cut into PDUs; the connection must be closed."""


class WirePdu(msgspec.Struct, frozen=True):
    """One PDU; text fields are str, `problem` says why the body could not be read.

    An unknown command has the empty name.
    """

    command: str
    status: int
    sequence: int
    fields: Mapping[str, Any] = {}
    problem: str = ""

    @property
    def is_response(self) -> bool:
        """Whether it answers something of ours."""
        return self.command.endswith("_resp") or self.command == "generic_nack"

    @property
    def user_data(self) -> bytes:
        """The text's octets, wherever they are: short_message or message_payload."""
        return self.fields.get("short_message") or self.fields.get("message_payload") or b""


class Cutter:
    """Feed bytes in, take frames out."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield every complete frame, header included.

        Raises:
            StreamBrokenError: A length is below 16 or above `FRAME_BYTES_MAX`.
        """
        self._buffer += data
        start = 0
        while len(self._buffer) - start >= HEADER.size:
            length = HEADER.unpack_from(self._buffer, start)[0]
            if not HEADER.size <= length <= FRAME_BYTES_MAX:
                raise StreamBrokenError(f"impossible command_length {length}")
            if len(self._buffer) - start < length:
                break
            yield bytes(self._buffer[start : start + length])
            start += length
        del self._buffer[:start]


def decode(frame: bytes) -> WirePdu:
    """Read one whole frame; a body that cannot be read is told by `problem`, never raised."""
    _, command_id, status, sequence = HEADER.unpack_from(frame)
    try:
        command = command_codes.get_command_name(command_id)
    except exceptions.UnknownCommandError as error:
        return WirePdu("", status, sequence, problem=str(error))
    try:
        parsed = smpp.parse_pdu(frame, allow_unknown_opt_params=True, sequence=sequence)
    except _UNREADABLE as error:
        return WirePdu(command, status, sequence, problem=f"{type(error).__name__}: {error}")
    values = {name: getattr(parsed, name, None) for name in parsed.params_order}
    fields = {
        name: value.decode("latin-1")
        if isinstance(value, bytes) and parsed.params[name].type is str
        else value
        for name, value in values.items()
        if value is not None
    }
    return WirePdu(command, status, sequence, fields, _problem(command, fields, parsed))


def _problem(command: str, fields: Mapping[str, Any], parsed: Any) -> str:
    """Say what a request lacks: smpplib takes a body that ends too early for a whole one."""
    if command.endswith("_resp"):  # A response may come without its body.
        return ""
    # An empty short_message at the end of the body is not told from none.
    optional = TLV_TAGS.keys() | {"short_message"}
    missing = [name for name in parsed.params_order if name not in optional | fields.keys()]
    return f"ends before {missing[0]}" if missing else ""


def encode(
    command: str,
    *,
    sequence: int,
    status: int = STATUS_OK,
    fields: Mapping[str, Any] | None = None,
    tlvs: tuple[Tlv, ...] = (),
) -> bytes:
    """Write one PDU with smpplib; the body is left out if the status is an error.

    Args:
        command: The spec's name.
        sequence: sequence_number.
        status: command_status.
        fields: Mandatory fields and TLVs by the spec's names.  A TLV that smpplib does not know
            for this command (ussd_service_op in a deliver_sm) is given as its octets.
        tlvs: Further TLVs as tag and value, appended as they are.
    """
    pdu = smpp.make_pdu(command, sequence=sequence, status=status)
    pdu.sequence = sequence
    extra: list[Tlv] = []
    for name, value in (fields or {}).items():
        if name in pdu.params:
            setattr(pdu, name, value)
        elif name in TLV_TAGS:
            extra.append((TLV_TAGS[name], value))
        else:
            raise ValueError(f"{command} has no field {name!r}")
    whole: bytes = pdu.generate()
    body = b"" if status != STATUS_OK else whole[HEADER.size :]
    body += b"".join(TLV_HEADER.pack(tag, len(value)) + value for tag, value in (*extra, *tlvs))
    return frame(command, body, sequence=sequence, status=status)


def frame(command: str, body: bytes, *, sequence: int, status: int = STATUS_OK) -> bytes:
    """Put a header before a body that smpplib has no class for, or that is wrong on purpose."""
    command_id = command_codes.get_command_code(command)
    return HEADER.pack(HEADER.size + len(body), command_id, status, sequence) + body
