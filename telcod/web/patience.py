"""How long one HTTP connection may dawdle (HTTP-4); the time is an argument.

Who opens connections and says nothing, sends a head or a body byte by byte, or never reads an
answer, holds what others need.  A protocol says which part its connection is at (`moved`), which
costs a busy connection next to nothing; who looks at all connections now and then asks `over`.
"""

from enum import IntEnum
from typing import NamedTuple


class Part(IntEnum):
    """What a connection is at.  A new one is at `HEAD`: who connects has something to ask."""

    IDLE = 0
    HEAD = 1
    BODY = 2
    ANSWER = 3


class Waits(NamedTuple):
    """The longest each part may take, in seconds.

    `read_s` is how long what we wrote may lie unread.  How long an answer takes to make is no
    concern of the caller's, so it has no limit here.
    """

    head_s: float
    body_s: float
    idle_s: float
    read_s: float


class Patience:
    """That of one connection."""

    def __init__(self) -> None:
        self._part = Part.HEAD
        self._turn = 0
        self._seen = -1
        self._since_s = 0.0
        self._unread_since_s: float | None = None

    @property
    def part(self) -> Part:
        """What the connection is at."""
        return self._part

    def moved(self, part: Part) -> None:
        """The next part has begun."""
        self._part = part
        self._turn += 1

    def over(self, waits: Waits, *, unread_bytes: int, now_s: float) -> str:
        """Why the connection is to be cut now; empty if it isn't.

        The first look at a part begins its time, so it lasts up to one look longer than its limit.

        Args:
            waits: The limits.
            unread_bytes: What we wrote and could not send yet.
            now_s: Monotonic seconds.
        """
        if not unread_bytes:
            self._unread_since_s = None
        elif self._unread_since_s is None:
            self._unread_since_s = now_s
        elif now_s - self._unread_since_s >= waits.read_s:
            return "its answers lie unread"
        if self._seen != self._turn:
            self._seen, self._since_s = self._turn, now_s
            return ""
        took_s = now_s - self._since_s
        match self._part:
            case Part.HEAD:
                return "its head does not end" if took_s >= waits.head_s else ""
            case Part.BODY:
                return "its body does not end" if took_s >= waits.body_s else ""
            case Part.IDLE:
                return "it asks nothing" if took_s >= waits.idle_s else ""
            case Part.ANSWER:
                return ""
