"""One TCP connection of the simulated SMSC: bytes to PDUs and back.  No rules of its own."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from telcod.simulator import smsc_wire as wire
from telcod.simulator.smsc_behaviour import STATUS_OK, BindMode
from telcod.simulator.smsc_log import Conversation, Direction

if TYPE_CHECKING:
    from telcod.simulator.smsc_messages import Sent

SEQUENCE_MAX: Final = 0x7FFF_FFFF


class Owner(Protocol):
    """What a connection tells its SMSC."""

    conversation: Conversation

    def connected(self, connection: "Connection") -> None:
        """Take note of a connection just opened."""

    def received(self, connection: "Connection", pdu: wire.WirePdu) -> None:
        """Act on a PDU."""

    def broken(self, connection: "Connection", reason: str) -> None:
        """Act on bytes that are no PDUs."""

    def lost(self, connection: "Connection") -> None:
        """Take note of a connection that is gone."""


class Connection(asyncio.Protocol):
    """A peer's connection, bound or not."""

    def __init__(self, owner: Owner, number: int) -> None:
        self.number = number
        self.mode: BindMode | None = None
        self.muted = False
        self.open = False
        self.unbinding = False
        self.outstanding: dict[int, Sent] = {}
        self.enquiries: set[int] = set()
        self._owner = owner
        self._cutter = wire.Cutter()
        self._transport: asyncio.Transport | None = None
        self._sequence = 0

    @property
    def receives(self) -> bool:
        """Whether deliver_sm may be sent on it."""
        ready = self.open and not self.muted and not self.unbinding
        return ready and self.mode in {BindMode.RECEIVER, BindMode.TRANSCEIVER}

    @property
    def transmits(self) -> bool:
        """Whether submit_sm may come in on it."""
        return self.mode in {BindMode.TRANSMITTER, BindMode.TRANSCEIVER}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket over from asyncio."""
        self._transport = cast("asyncio.Transport", transport)
        self.open = True
        self._owner.connected(self)

    def data_received(self, data: bytes) -> None:
        """Cut what came in into PDUs, as long as the connection is open."""
        try:
            for frame in self._cutter.feed(data):
                pdu = wire.decode(frame)
                self._owner.conversation.pdu(self.number, Direction.IN, pdu)
                self._owner.received(self, pdu)
                if not self.open:
                    return
        except wire.StreamBrokenError as error:
            self._owner.broken(self, str(error))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's.
        """Tell the SMSC, once, however the end came."""
        self.open = False
        self._owner.lost(self)

    def request(
        self, command: str, fields: Mapping[str, Any], tlvs: tuple[wire.Tlv, ...] = ()
    ) -> int:
        """Send a request under the next sequence_number, and give that."""
        self._sequence = self._sequence % SEQUENCE_MAX + 1
        data = wire.encode(command, sequence=self._sequence, fields=fields, tlvs=tlvs)
        self.write(data)
        return self._sequence

    def respond(
        self, pdu: wire.WirePdu, *, status: int = STATUS_OK, fields: Mapping[str, Any] | None = None
    ) -> None:
        """Answer a request."""
        self.write(self.response(pdu, status=status, fields=fields))

    def response(
        self, pdu: wire.WirePdu, *, status: int = STATUS_OK, fields: Mapping[str, Any] | None = None
    ) -> bytes:
        """Write the answer to a request, for now or for later."""
        command = f"{pdu.command}_resp"
        if status != STATUS_OK:
            # SMPP 3.4, 4.1.2 and 4.4.2: the body is not returned with an error.
            return wire.frame(command, b"", sequence=pdu.sequence, status=status)
        return wire.encode(command, sequence=pdu.sequence, fields=fields)

    def refuse(self, sequence: int, status: int) -> None:
        """Send a generic_nack."""
        self.write(wire.frame("generic_nack", b"", sequence=sequence, status=status))

    def write(self, data: bytes) -> None:
        """Send one PDU and note it; nothing happens on a closed or muted connection."""
        if self.open and not self.muted and self._transport is not None:
            self._owner.conversation.pdu(self.number, Direction.OUT, wire.decode(data))
            self._transport.write(data)

    def write_raw(self, data: bytes, what: str, details: str) -> None:
        """Send bytes as they are, PDU or not, and note them by the words given."""
        if self.open and self._transport is not None:
            self._owner.conversation.happened(self.number, what, details)
            self._transport.write(data)

    def close(self) -> None:
        """Close when everything written has left."""
        self.open = False
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Cut at once; what was not sent yet is lost."""
        self.open = False
        if self._transport is not None:
            self._transport.abort()
