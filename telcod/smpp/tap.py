"""Cut what passes over a link into frames for a trace, with the passwords painted over.  Pure.

Used only while somebody traces; a link without a tap never comes here.  `redacted` takes the
passwords of binds away, `blanked` the texts of short codes that people send passwords to.  Other
texts are left as they are: whoever stores a trace must treat it as private.
"""

import re
from collections.abc import Callable, Iterable
from typing import Final, Literal, NamedTuple

import msgspec

from telcod.smpp.bodies import DataSm, ShortMessage
from telcod.smpp.consts import HEADER_BYTES, CommandId, TlvTag
from telcod.smpp.framing import Framer, FramingLost
from telcod.smpp.pdu import BadPdu, decode, decode_header, encode
from telcod.smpp.tlv import Tlv

Direction = Literal["in", "out"]
Tap = Callable[[Direction, bytes], None]
"""Called with "in" or "out" and one whole frame; must not raise."""


class Ends(NamedTuple):
    """The two ends of one connection; its number is unique within its link."""

    connection: int
    own_host: str
    own_port: int
    peer_host: str
    peer_port: int


Tapper = Callable[[Ends], Tap]
"""Gives the tap of a connection, when it is made or when a trace begins."""

UDHI: Final = 0x40  # Section 5.2.12: the text begins with a user data header.
_STAR: Final = b"*"
_LOGIN_CODE: Final = re.compile(rb"(?<![0-9])[0-9]{6}(?![0-9])")

# Their bodies begin with `system_id` NUL `password` NUL.
_WITH_PASSWORD: Final = frozenset(
    {
        CommandId.BIND_RECEIVER,
        CommandId.BIND_TRANSMITTER,
        CommandId.BIND_TRANSCEIVER,
        CommandId.OUTBIND,
    }
)


# What has a text in it.
_WITH_TEXT: Final = frozenset(
    {
        CommandId.SUBMIT_SM,
        CommandId.DELIVER_SM,
        CommandId.DATA_SM,
        CommandId.SUBMIT_MULTI,
        CommandId.REPLACE_SM,
    }
)


def redacted(frame: bytes) -> bytes:
    """Return the frame with every octet of a bind's or outbind's password as `*`."""
    if decode_header(frame).command_id not in _WITH_PASSWORD:
        return frame
    start = frame.find(b"\0", HEADER_BYTES) + 1
    if start == 0:
        # No NUL where the system_id should end: what follows may be anything, so nothing is shown.
        start = HEADER_BYTES
    end = frame.find(b"\0", start)
    if end < 0:
        end = len(frame)
    return frame[:start] + b"*" * (end - start) + frame[end:]


def blanked(frame: bytes, short_codes: Iterable[str]) -> bytes:
    """Return the frame with every octet of its text as `*`, if it goes to or comes from one of
    these short codes; of other texts that telcod sends, codes of six digits only.

    The user data header stays, so that a long text can be seen to be one.  A message that can't be
    read, or of a kind that says less than two addresses, is shown without its body.
    """
    if decode_header(frame).command_id not in _WITH_TEXT:
        return frame
    pdu = decode(frame)
    if isinstance(pdu, BadPdu) or not isinstance(pdu.body, ShortMessage | DataSm):
        return _without_body(frame)
    body = pdu.body
    ends = (_digits(body.source_addr), _digits(body.destination_addr))
    if not any(end.startswith(code) for end in ends for code in short_codes):
        return _without_codes(frame, body)
    headed = bool(body.esm_class & UDHI)
    tlvs = tuple(
        Tlv(tlv.tag, _stars(tlv.value, headed=headed)) if tlv.tag == TlvTag.MESSAGE_PAYLOAD else tlv
        for tlv in body.tlvs
    )
    hidden: ShortMessage | DataSm = msgspec.structs.replace(body, tlvs=tlvs)
    if isinstance(hidden, ShortMessage):
        text = _stars(hidden.short_message, headed=headed)
        hidden = msgspec.structs.replace(hidden, short_message=text)
    header = decode_header(frame)
    try:
        shown = encode(
            hidden, command_status=header.command_status, sequence_number=header.sequence_number
        )
    except ValueError:
        return _without_body(frame)
    return shown if len(shown) == len(frame) else _without_body(frame)


def _without_codes(frame: bytes, body: ShortMessage | DataSm) -> bytes:
    """A code of six digits in a text that we send opens self-care (SELF-1): stars instead."""
    if decode_header(frame).command_id != CommandId.SUBMIT_SM or isinstance(body, DataSm):
        return frame
    text = _LOGIN_CODE.sub(_STAR * 6, body.short_message)
    if text == body.short_message:
        return frame
    at = frame.rindex(body.short_message)  # Behind it there are TLVs only, which hold no text.
    return frame[:at] + text + frame[at + len(text) :]


def _stars(text: bytes, *, headed: bool) -> bytes:
    kept = min(len(text), 1 + text[0]) if headed and text else 0
    return text[:kept] + _STAR * (len(text) - kept)


def _digits(address: str) -> str:
    return "".join(filter(str.isdigit, address))


def _without_body(frame: bytes) -> bytes:
    return frame[:HEADER_BYTES] + _STAR * (len(frame) - HEADER_BYTES)


class FrameTap:
    """One connection's two streams, handed to `tap` frame by frame.

    After an impossible length the rest of that stream is dropped: the link closes on it anyway.

    Args:
        tap: Gets the frames.
        begun: What of an incoming PDU came before, if a trace begins in the middle of one.
    """

    def __init__(self, tap: Tap, *, begun: bytes = b"") -> None:
        self._tap = tap
        self._framers: dict[Direction, Framer] = {"in": Framer(), "out": Framer()}
        if begun:
            self.feed("in", begun)

    def feed(self, direction: Direction, data: bytes) -> None:
        """Take a piece of the stream, of any size; call the tap for every frame it completes."""
        framer = self._framers[direction]
        framer.feed(data)
        try:
            for frame in framer.frames():
                self._tap(direction, redacted(frame))
        except FramingLost:
            return
