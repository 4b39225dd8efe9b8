"""Who asks much waits for himself: so much of each caller is under way at once (HTTP-4).

The rest of it waits in its order, and nothing of anybody else waits behind it.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")


class _Caller(Generic[T]):
    """One of them: how much is under way, and what waits, the oldest first."""

    __slots__ = ("begun", "goes_on", "under_way", "waiting")

    def __init__(self) -> None:
        self.under_way = 0
        self.begun = 0
        """Since the loop came round last."""
        self.waiting: deque[T] = deque()
        self.goes_on = False


class Turns(Generic[T]):
    """What all callers have to be done.

    Args:
        begin: Begins one thing; when it is over, perhaps before this returns, `over` is called.
        most: How much of one caller is under way at once.
        at_a_time: How much of one caller is begun before the loop has come round again, so that
            what others have under way goes on in between; 0 is no limit.
        soon: Calls something when the loop has come round (`loop.call_soon`).
    """

    def __init__(
        self,
        begin: Callable[[T], None],
        *,
        most: int,
        at_a_time: int = 0,
        soon: Callable[[Callable[[], None]], object] = lambda _: None,
    ) -> None:
        self._begin: Final = begin
        self._most: Final = most
        self._at_a_time: Final = at_a_time
        self._soon: Final = soon
        self._callers: Final[dict[str, _Caller[T]]] = {}
        self._began: dict[str, _Caller[T]] = {}

    def take(self, caller: str, thing: T) -> None:
        """Begin something, at once or in its turn."""
        share = self._callers.get(caller)
        if share is None:
            share = self._callers[caller] = _Caller()
        share.waiting.append(thing)
        self._go_on(caller, share)

    def over(self, caller: str) -> None:
        """Something of this caller is over: what waited longest is begun."""
        share = self._callers[caller]
        share.under_way -= 1
        self._go_on(caller, share)

    def leave_out(self, caller: str, waits: Callable[[T], bool]) -> None:
        """Forget what waits no more, up to the first thing that does."""
        share = self._callers.get(caller)
        while share is not None and share.waiting and not waits(share.waiting[0]):
            share.waiting.popleft()

    def _go_on(self, caller: str, share: _Caller[T]) -> None:
        if share.goes_on:
            return  # It was over at once, within the loop below.
        share.goes_on = True
        while share.waiting and share.under_way < self._most and self._may_begin(caller, share):
            share.under_way += 1
            self._begin(share.waiting.popleft())
        share.goes_on = False
        if not share.under_way and not share.waiting:
            del self._callers[caller]  # Callers may be called anything.

    def _may_begin(self, caller: str, share: _Caller[T]) -> bool:
        if not self._at_a_time:
            return True
        if share.begun >= self._at_a_time:
            return False
        if not self._began:
            self._soon(self._come_round)
        self._began[caller] = share
        share.begun += 1
        return True

    def _come_round(self) -> None:
        began, self._began = self._began, {}
        for share in began.values():
            share.begun = 0
        for caller, share in began.items():
            if share.waiting:
                self._go_on(caller, share)
