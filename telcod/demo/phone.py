"""A phone of the demo's page: what it has sent and got, what its screen shows, who it talks to.

Pure values but for `Phone`, which keeps the present ones.  No clock, no socket.
"""

from collections import deque
from enum import StrEnum
from typing import Final

import msgspec

BUBBLES_MAX: Final = 200
PARTS_WAIT_MAX: Final = 50


class Way(StrEnum):
    """Which way a text went, seen from the phone."""

    IN = "in"
    OUT = "out"


class Fate(StrEnum):
    """What became of a text that was typed: the SMSC has it, telcod has it, telcod refused it."""

    SENDING = "sending"
    TAKEN = "taken"
    REFUSED = "refused"


class Bubble(msgspec.Struct, frozen=True):
    """A text in a conversation; `peer` is the number on the other side."""

    id: int
    way: Way
    peer: str
    text: str
    at_ms: int
    fate: Fate = Fate.TAKEN


class Screen(msgspec.Struct, frozen=True):
    """A USSD screen.  `asks`: something can be typed.  `problem`: the gateway's own word."""

    text: str
    asks: bool
    problem: bool = False
    pushed: bool = False


class Stage(StrEnum):
    """Where a call is, for one of the two."""

    DIALLING = "dialling"
    RINGING = "ringing"
    QUESTION = "question"
    WAITING = "waiting"
    TALKING = "talking"
    OVER = "over"


class CallView(msgspec.Struct, frozen=True):
    """A call as one phone shows it.

    `says` is what is heard, in telcod's words, `why` a word of the page's own.  `talk_s` had been
    talked when this was made, of `max_s` that are granted; `charged_vnd` is -1 until the end.
    """

    role: str
    peer: str
    stage: Stage
    says: str = ""
    why: str = ""
    keys: str = ""
    talk_s: int = 0
    max_s: int = 0
    final: bool = False
    billed_s: int = 0
    charged_vnd: int = -1


class PhoneView(msgspec.Struct, frozen=True):
    """A whole phone, as the page draws it."""

    name: str
    msisdn: str
    bubbles: tuple[Bubble, ...]
    screen: Screen | None
    call: CallView | None


class Phone:
    """A phone.

    Args:
        name: Of one letter.
        msisdn: With the country's code, as digits.
    """

    def __init__(self, name: str, msisdn: str) -> None:
        self.name: Final = name
        self.msisdn: Final = msisdn
        self.screen: Screen | None = None
        self.call: CallView | None = None
        self._bubbles: deque[Bubble] = deque(maxlen=BUBBLES_MAX)
        self._last_id = 0

    @property
    def bubbles(self) -> tuple[Bubble, ...]:
        """The texts, oldest first."""
        return tuple(self._bubbles)

    def add(self, way: Way, peer: str, text: str, *, at_ms: int, fate: Fate = Fate.TAKEN) -> Bubble:
        """A text was typed, or came."""
        self._last_id += 1
        bubble = Bubble(self._last_id, way, peer, text, at_ms, fate)
        self._bubbles.append(bubble)
        return bubble

    def settle(self, bubble: Bubble, fate: Fate) -> None:
        """What became of a text that was typed; one that is long gone is left alone."""
        for place, each in enumerate(self._bubbles):
            if each.id == bubble.id:
                self._bubbles[place] = msgspec.structs.replace(each, fate=fate)

    def view(self) -> PhoneView:
        """The phone as it is now."""
        return PhoneView(self.name, self.msisdn, self.bubbles, self.screen, self.call)


class Part(msgspec.Struct, frozen=True):
    """A message that the SMSC has for a phone; `reference`, `total`, `number` if it is a part."""

    source: str
    destination: str
    text: str
    reference: int = 0
    total: int = 1
    number: int = 1


class Joiner:
    """Puts long texts together; one that never becomes whole gives way to others."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str, int, int], dict[int, str]] = {}

    def whole_or_none(self, part: Part) -> str | None:
        """The text that this part completes, if it does."""
        if part.total < 2:
            return part.text
        key = (part.source, part.destination, part.reference, part.total)
        parts = self._waiting.setdefault(key, {})
        parts[part.number] = part.text
        if len(parts) < part.total:
            self._make_room()
            return None
        del self._waiting[key]
        return "".join(parts[number] for number in sorted(parts))

    def _make_room(self) -> None:
        while len(self._waiting) > PARTS_WAIT_MAX:
            del self._waiting[next(iter(self._waiting))]
