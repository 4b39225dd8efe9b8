"""The USSD dialogues of all SMPP links that are under way, in memory (SMPP-7).

What is here makes answers cheap and repeats harmless; the truth about a session is in the books, so
that a start with nothing here costs a phone at most one screen.
"""

from collections import OrderedDict
from typing import Any, Final, NamedTuple

import msgspec

from telcod.smpp.pdu import DataSm, DeliverSm, SubmitSm
from ussd.smpp_profile import Peer

KEPT_S: Final = 600.0
TALKS_MAX: Final = 100_000
REPEAT_S: Final = 60.0
"""No network keeps a dialogue waiting longer for what it delivers again."""


class TalkKey(NamedTuple):
    """How a gateway knows a dialogue: its link, its phone, the session's number if it has one."""

    link: str
    phone: str
    session: str


class Talk(msgspec.Struct, eq=False):
    """One dialogue.

    `session_id` is the books' name for it; `shown` the screen that the phone has; `heard` the last
    message, by which connection it came and when (monotonic seconds), and whether its answer is not
    committed yet; `waiting` are copies of it that are answered with it.
    """

    key: TalkKey
    session_id: str
    peer: Peer
    code: str
    at_s: float
    over: bool = False
    shown: SubmitSm | None = None
    heard: DeliverSm | DataSm | None = None
    heard_by: int = 0
    heard_at_s: float = 0.0
    pending: bool = False
    waiting: tuple[Any, ...] = ()


class Talks:
    """Dialogues by key, at most `TALKS_MAX`, forgotten after `KEPT_S` of silence."""

    def __init__(self) -> None:
        self._talks: OrderedDict[TalkKey, Talk] = OrderedDict()

    def __len__(self) -> int:
        return len(self._talks)

    def get(self, key: TalkKey, *, now: float) -> Talk | None:
        """The dialogue that a key names, if it is not forgotten."""
        talk = self._talks.get(key)
        if talk is None or now - talk.at_s > KEPT_S:
            return None
        return talk

    def put(self, talk: Talk, *, now: float) -> None:
        """Keep a dialogue from now on; it takes the place of what its key named."""
        talk.at_s = now
        talks = self._talks
        talks[talk.key] = talk
        talks.move_to_end(talk.key)
        while len(talks) > TALKS_MAX or now - next(iter(talks.values())).at_s > KEPT_S:
            talks.popitem(last=False)

    def drop(self, talk: Talk) -> None:
        """Forget a dialogue, unless another one has taken its place."""
        if self._talks.get(talk.key) is talk:
            del self._talks[talk.key]
