"""Phones that speak USSD through an SMSC, for tests and demonstrations (SMPP-7).

The gateway's side of the wire, written from the conventions and not from telcod's: how gateways
differ is `Habits`, one for each kind seen in the field.  A `UssdPhone` dials, types, hangs up, and
reads its screens out of what the SMSC was given to submit.  No clock, no task: who awaits an answer
waits for what comes in.
"""

import itertools
from collections.abc import Awaitable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, Protocol

import msgspec

from telcod.simulator import smsc_text as texts
from telcod.simulator.smsc import SimulatedSmsc
from telcod.simulator.smsc_wire import TLV_TAGS
from telcod.simulator.watch import WAIT_S

TAG_OPERATION: Final = TLV_TAGS["ussd_service_op"]
TAG_SESSION_INFO: Final = TLV_TAGS["its_session_info"]
TAG_REFERENCE: Final = TLV_TAGS["user_message_reference"]
CONFIRMED: Final = 19
QUESTION: Final = 2
NOTICE: Final = 3
SEQUENCE_MASK: Final = 0xFE


class Habits(msgspec.Struct, frozen=True, kw_only=True):
    """How a gateway speaks: its operations, and where the session and the code are.

    `session`: `octet` and `15 bits` of its_session_info, `reference` is user_message_reference,
    `none`.  An end of ours is one of `ends`, and the end bit if `end_bit`.  An end of its own is
    `abort`, or by the bit alone when that is None.
    """

    new: int = 1
    answer: int = 18
    abort: int | None = None
    ends: frozenset[int] = frozenset({17})
    session: Literal["octet", "15 bits", "reference", "none"] = "octet"
    end_bit: bool = False
    code_in: Literal["destination", "text"] = "text"
    gateway: str = "1566"


HABITS: Final[Mapping[str, Habits]] = MappingProxyType(
    {
        "standard": Habits(abort=129, end_bit=True),
        "tata": Habits(ends=frozenset({2}), session="15 bits", end_bit=True, code_in="destination"),
        "sixdee": Habits(abort=129, ends=frozenset({23}), session="15 bits", end_bit=True),
        "mica": Habits(answer=2, abort=23, ends=frozenset({23}), session="reference"),
        "msisdn": Habits(abort=17, session="none", code_in="destination"),
    }
)
"""By the name of the profile that understands them."""


class Shown(NamedTuple):
    """A submit_sm on the wire: to whom, what, and its TLVs as octets by tag."""

    destination: str
    text: str
    tlvs: Mapping[int, bytes]


class Screen(NamedTuple):
    """What a phone shows.  `operation` is the ussd_service_op; `ends`: the dialogue is over."""

    text: str
    operation: int
    ends: bool
    session: str


class Wire(Protocol):
    """An SMSC, ours or another's, as phones need it."""

    async def deliver(
        self, source: str, destination: str, text: bytes, tlvs: Mapping[int, bytes]
    ) -> Awaitable[int]:
        """Send a deliver_sm; what is given back is awaited for the status of its answer."""

    def shown(self) -> Sequence[Shown]:
        """Everything that was submitted so far and not refused, oldest first."""

    async def wait_shown(self, count: int, *, wait_s: float) -> None:
        """Wait until so much was submitted."""


class SimulatedWire:
    """The simulated SMSC as phones need it."""

    def __init__(self, smsc: SimulatedSmsc) -> None:
        self._smsc = smsc

    async def deliver(
        self, source: str, destination: str, text: bytes, tlvs: Mapping[int, bytes]
    ) -> Awaitable[int]:
        """See `Wire.deliver`."""
        return self._smsc.send_deliver(
            source_addr=source,
            destination_addr=destination,
            short_message=text,
            tlvs=tuple(tlvs.items()),
        )

    def shown(self) -> Sequence[Shown]:
        """See `Wire.shown`."""
        return [
            Shown(each.fields["destination_addr"], each.text, _octets(each.fields))
            for each in self._smsc.submitted
            if not each.status
        ]

    async def wait_shown(self, count: int, *, wait_s: float = WAIT_S) -> None:
        """See `Wire.wait_shown`."""
        await self._smsc.wait_until(
            lambda: len(self.shown()) >= count, f"submit {count}", wait_s=wait_s
        )


class UssdPhone:
    """A phone and its gateway; one dialogue at a time.

    Args:
        wire: The SMSC.
        msisdn: The phone, in international form without plus.
        habits: The gateway's.
    """

    def __init__(self, wire: Wire, msisdn: str, habits: Habits) -> None:
        self.msisdn = msisdn
        self._wire = wire
        self._habits = habits
        self._numbers = itertools.count(40)
        self._tlvs: dict[int, bytes] = {}  # What the dialogue carries, as last written.
        self._seen = 0  # Of what was submitted, how much we have looked at.

    async def dial(self, code: str) -> Screen:
        """Dial a code and give the first screen.

        Raises:
            TimeoutError: None came.
        """
        await self._accepted(await self.send_dialled(code))
        return await self.next_screen()

    async def press(self, text: str) -> Screen:
        """Type an answer and give the next screen.

        Raises:
            TimeoutError: None came.
        """
        await self._accepted(await self.send(self._habits.answer, text))
        return await self.next_screen()

    async def abort(self) -> None:
        """The network says that the dialogue is over."""
        habits = self._habits
        if habits.end_bit:
            info = int.from_bytes(self._tlvs[TAG_SESSION_INFO]) | 1
            self._tlvs[TAG_SESSION_INFO] = info.to_bytes(2)
        operation = habits.answer if habits.abort is None else habits.abort
        await self._accepted(await self.send(operation, ""))

    async def confirm(self) -> None:
        """Tell that a notice was seen."""
        await self._accepted(await self.send(CONFIRMED, ""))

    async def send_dialled(self, code: str) -> Awaitable[int]:
        """Begin a dialogue; the first screen is not waited for."""
        habits = self._habits
        number = next(self._numbers)
        self._tlvs = {}
        if habits.session == "octet":
            self._tlvs[TAG_SESSION_INFO] = bytes((number, 0))
        elif habits.session == "15 bits":
            self._tlvs[TAG_SESSION_INFO] = (number << 1).to_bytes(2)
        elif habits.session == "reference":
            self._tlvs[TAG_REFERENCE] = number.to_bytes(2)
        if habits.code_in == "destination":
            return await self.send(habits.new, "", destination=code)
        return await self.send(habits.new, code)

    async def send(
        self, operation: int, text: str, *, destination: str | None = None
    ) -> Awaitable[int]:
        """Send anything in the dialogue as it stands; awaited, it gives the answer's status."""
        [fields] = texts.compose(text)
        tlvs = {TAG_OPERATION: bytes((operation,))} | self._tlvs
        whither = self._habits.gateway if destination is None else destination
        return await self._wire.deliver(self.msisdn, whither, fields.short_message, tlvs)

    async def next_screen(self, *, wait_s: float = WAIT_S) -> Screen:
        """The next thing that the phone was given to show, by whomever it was begun.

        Raises:
            TimeoutError: Nothing came within `wait_s` seconds.
        """
        while True:
            for shown in self._wire.shown()[self._seen :]:
                self._seen += 1
                if shown.destination == self.msisdn and TAG_OPERATION in shown.tlvs:
                    return self._show(shown)
            await self._wire.wait_shown(self._seen + 1, wait_s=wait_s)

    def _show(self, shown: Shown) -> Screen:
        habits = self._habits
        operation = shown.tlvs[TAG_OPERATION][-1]
        carried = (TAG_SESSION_INFO, TAG_REFERENCE)
        self._tlvs = {tag: shown.tlvs[tag] for tag in carried if tag in shown.tlvs}
        ends = operation in habits.ends
        if habits.end_bit and ends:
            # Where an operation and the bit both say it, they must agree.
            ends = bool(shown.tlvs[TAG_SESSION_INFO][1] & 1)
        return Screen(shown.text, operation, ends, self._session())

    def _session(self) -> str:
        info = self._tlvs.get(TAG_SESSION_INFO, b"")
        if self._habits.session == "octet":
            return info[:1].hex()
        if self._habits.session == "15 bits" and info:
            return f"{int.from_bytes(info) >> 1:04x}"
        return self._tlvs.get(TAG_REFERENCE, b"").hex()

    async def _accepted(self, answer: Awaitable[int]) -> None:
        status = await answer
        if status:
            raise ConnectionError(f"the deliver_sm was answered with 0x{status:08X}")


def _octets(fields: Mapping[str, object]) -> dict[int, bytes]:
    """The TLVs of USSD as they were on the wire; smpplib makes numbers of them."""
    sizes = {"ussd_service_op": 1, "its_session_info": 2, "user_message_reference": 2}
    return {
        TLV_TAGS[name]: value.to_bytes(size)
        for name, size in sizes.items()
        if isinstance(value := fields.get(name), int)
    }
