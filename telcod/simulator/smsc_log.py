"""What was said on the simulated SMSC's connections, readable by people.  Pure.

Bind passwords are never kept, nor the payment password of a text (PAY-1).  Other texts are: the
simulated SMSC is the phones' side of the wire.
"""

import re
from collections import deque
from enum import StrEnum
from typing import Final

import msgspec
from smpplib import consts

from telcod.simulator.smsc_text import UDHI, decode_text, split_udh
from telcod.simulator.smsc_wire import WirePdu

LINES_MAX: Final = 10_000  # The oldest are dropped; a load test would fill the memory.
STATUS_NAMES: Final = {
    value: name.removeprefix("SMPP_")
    for name, value in vars(consts).items()
    if name.startswith("SMPP_ESME_")
}
# Fields worth a reader's attention, in this order; zero and empty ones are left out.
SHOWN: Final = (
    "system_id",
    "message_id",
    "source_addr",
    "destination_addr",
    "esm_class",
    "data_coding",
    "registered_delivery",
    "validity_period",
    "sar_msg_ref_num",
    "sar_total_segments",
    "sar_segment_seqnum",
    "ussd_service_op",
    "its_session_info",
    "receipted_message_id",
    "message_state",
)
# What follows MK, however it is written: quoted, spaced out, in small letters.
_PASSWORD: Final = re.compile(r"(?<=\bmk\b).*", re.IGNORECASE | re.DOTALL)


class Direction(StrEnum):
    """Who spoke: the ESME (in) or the SMSC (out)."""

    IN = "->"
    OUT = "<-"


class Line(msgspec.Struct, frozen=True):
    """One PDU, or one happening of a connection (then `status` and `sequence` are None)."""

    connection: int
    direction: Direction | None
    command: str
    status: int | None = None
    sequence: int | None = None
    details: str = ""

    def __str__(self) -> str:
        """Render the line as a reader sees it."""
        arrow = self.direction or "--"
        words = [f"{arrow} #{self.connection} {self.command}"]
        if self.sequence is not None:
            words.append(f"seq={self.sequence}")
        if self.status:
            words.append(STATUS_NAMES.get(self.status, f"status 0x{self.status:08x}"))
        if self.details:
            words.append(self.details)
        return " ".join(words)


def describe(pdu: WirePdu) -> str:
    """Name the fields that tell one PDU from another, and the text if it has one."""
    shown = [f"{name}={pdu.fields[name]}" for name in SHOWN if pdu.fields.get(name)]
    if pdu.user_data:
        esm_class = pdu.fields.get("esm_class", 0)
        concat, body = split_udh(pdu.user_data) if esm_class & UDHI else (None, pdu.user_data)
        if concat is not None:
            shown.append(f"part={concat.number}/{concat.total} reference={concat.reference}")
        text = decode_text(body, pdu.fields.get("data_coding", 0))
        shown.append(f"text={_PASSWORD.sub('***', text)!r}")
    if pdu.problem:
        shown.append(f"unreadable ({pdu.problem})")
    return " ".join(shown)


class Conversation:
    """The latest `LINES_MAX` lines, oldest first."""

    def __init__(self) -> None:
        self.lines: deque[Line] = deque(maxlen=LINES_MAX)

    def pdu(self, connection: int, direction: Direction, pdu: WirePdu) -> None:
        """Note a PDU."""
        name = pdu.command or "unknown"
        line = Line(connection, direction, name, pdu.status, pdu.sequence, describe(pdu))
        self.lines.append(line)

    def happened(self, connection: int, what: str, details: str = "") -> None:
        """Note something that is no PDU: connected, lost, garbage sent."""
        self.lines.append(Line(connection, None, what, details=details))

    def render(self) -> str:
        """Give the whole conversation as text, one line each."""
        return "\n".join(map(str, self.lines))

    def commands(self, direction: Direction | None = None) -> list[str]:
        """List the commands in order, of one side or of both."""
        return [
            line.command
            for line in self.lines
            if line.sequence is not None and direction in {None, line.direction}
        ]
