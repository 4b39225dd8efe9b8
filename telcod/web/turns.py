"""Who asks much waits for himself: so much of each caller is under way at once (HTTP-4).

The rest of it waits in its order, and nothing of anybody else waits behind it.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")


class _Caller(Generic[T]):
    """One of them: how much is under way, and what waits, the oldest first."""

    __slots__ = ("goes_on", "under_way", "waiting")

    def __init__(self) -> None:
        self.under_way = 0
        self.waiting: deque[T] = deque()
        self.goes_on = False


class Turns(Generic[T]):
    """What all callers have to be done.

    Args:
        begin: Begins one thing; when it is over, perhaps before this returns, `over` is called.
        most: How much of one caller is under way at once.
    """

    def __init__(self, begin: Callable[[T], None], *, most: int) -> None:
        self._begin: Final = begin
        self._most: Final = most
        self._callers: Final[dict[str, _Caller[T]]] = {}

    def take(self, caller: str, thing: T) -> None:
        """Begin something, at once or in its turn."""
        share = self._callers.get(caller)
        if share is None:
            share = self._callers[caller] = _Caller()
        if share.under_way >= self._most or share.waiting:
            share.waiting.append(thing)
            return
        share.under_way += 1
        self._begin(thing)

    def over(self, caller: str) -> None:
        """Something of this caller is over: what waited longest is begun."""
        share = self._callers[caller]
        share.under_way -= 1
        if share.goes_on:
            return  # It was over at once, within the loop below.
        share.goes_on = True
        while share.waiting and share.under_way < self._most:
            share.under_way += 1
            self._begin(share.waiting.popleft())
        share.goes_on = False
        if not share.under_way:
            del self._callers[caller]  # Callers may be called anything.

    def leave_out(self, caller: str, waits: Callable[[T], bool]) -> None:
        """Forget what waits no more, up to the first thing that does."""
        share = self._callers.get(caller)
        while share is not None and share.waiting and not waits(share.waiting[0]):
            share.waiting.popleft()
