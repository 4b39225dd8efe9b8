"""The way past ASGI and the web framework for a few busy routes, whose layers cost more than the
books do.

It knows the good case only: a JSON body that is understood, from a caller who may.  What it does
not understand goes on to the framework's routes untouched, so there is one place that says what is
wrong, and one description of the interface.  Doors say which routes are busy (`ivr/shortcut.py`,
`ussd/shortcut.py`); their tests hold both ways to the same answers.

Nothing here reads or writes a socket: `protocol.py` does.
"""

import asyncio
from collections import deque
from collections.abc import Callable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from litestar import Litestar

from telcod.errors import TelcodError, Unavailable
from telcod.types import Answer, Request
from telcod.web.ports import Backend
from telcod.web.problems import MEDIA_TYPE, rendered
from telcod.web.scopes import Scope

if TYPE_CHECKING:
    from telcod.web.auth import Gatekeeper

JSON: Final = "application/json"
UNDER_WAY_MAX: Final = 128
"""How many requests of one token the engine has at once.

More of them wait here, so that who floods waits for himself: those of others go before them.
"""

HttpScope = MutableMapping[str, Any]
Result = Answer | TelcodError
# Takes status, body, media type and further headers of an answer.
Answered = Callable[[int, bytes, str, dict[str, str]], None]


class Fast(NamedTuple):
    """A busy route.

    `understood` makes the request of the caller's name and the body, or raises anything at all;
    `said` is what is answered as JSON when the books have, or have not, carried it out, or raises
    what the framework's route would.
    """

    scopes: Sequence[Scope]
    understood: Callable[[Backend, str, bytes, HttpScope], Request]
    said: Callable[[Backend, Request, Result, HttpScope], Any]


# The busy route that a path of a POST leads to; None for what the framework must look at.
Finder = Callable[[str], Fast | None]


class _Errand:
    """One request on its way through the books.  Whichever comes first answers: they, or time."""

    __slots__ = ("_answered", "_backend", "_fast", "_scope", "request", "timer")

    def __init__(
        self, fast: Fast, backend: Backend, request: Request, scope: HttpScope, answered: Answered
    ) -> None:
        self._fast: Final = fast
        self._backend: Final = backend
        self._scope: Final = scope
        self._answered: Answered | None = answered
        self.request: Final = request
        self.timer: asyncio.TimerHandle | None = None

    @property
    def waits(self) -> bool:
        """Whether its caller still waits."""
        return self._answered is not None

    def told(self, result: Result) -> None:
        """Answer, unless that was done."""
        answered, self._answered = self._answered, None
        if answered is None:
            return
        if self.timer is not None:
            self.timer.cancel()
        scope = self._scope
        try:
            said = self._fast.said(self._backend, self.request, result, scope)
        except Exception as error:  # noqa: BLE001  (the edge of one HTTP request)
            problem = rendered(error, path=scope["path"], method=scope["method"])
            answered(problem.status, problem.body, MEDIA_TYPE, problem.headers)
            return
        answered(200, msgspec.json.encode(said), JSON, {})


class _Share:
    """What one token has under way, and what of it waits for its turn, the oldest first."""

    def __init__(self, backend: Backend) -> None:
        self._backend: Final = backend
        self._under_way = 0
        self._waiting: Final[deque[_Errand]] = deque()
        self._goes_on = False

    def take(self, errand: _Errand) -> None:
        """Have it carried out, at once or in its turn."""
        self._waiting.append(errand)
        self._go_on()

    def late(self, errand: _Errand) -> None:
        """Its time is up; what the books do later stands."""
        what_to_do = "Send the same again in a moment."
        errand.told(Unavailable("the books did not answer in time", what_to_do=what_to_do))
        while self._waiting and not self._waiting[0].waits:
            self._waiting.popleft()  # All wait equally long, so who is late was the first.

    def _go_on(self) -> None:
        if self._goes_on:
            return  # The books refused at once, within the loop below.
        self._goes_on = True
        while self._waiting and self._under_way < UNDER_WAY_MAX:
            self._start(self._waiting.popleft())
        self._goes_on = False

    def _start(self, errand: _Errand) -> None:
        self._under_way += 1

        def told(result: Result) -> None:
            self._under_way -= 1
            errand.told(result)
            if self._waiting:
                self._go_on()

        self._backend.post(errand.request, told)


class Shortcut:
    """The busy routes of the doors.

    Args:
        app: The application that has the same routes; its backend, keeper and limits are taken.
        finders: One of each door.
    """

    def __init__(self, app: Litestar, *finders: Finder) -> None:
        self._finders: Final = finders
        self._backend: Final[Backend] = app.state.backend
        self._keeper: Final[Gatekeeper] = app.state.keeper
        self._wait_s: Final[float] = app.state.limits.answer_wait_s
        self._shares: Final[dict[str, _Share]] = {}  # By the names of tokens, which are few.

    def find(self, path: str) -> Fast | None:
        """The busy route that a path of a POST leads to, if it leads to one."""
        for find in self._finders:
            fast = find(path)
            if fast is not None:
                return fast
        return None

    def carry_out(
        self, fast: Fast, authorization: bytes, body: bytes, scope: HttpScope, answered: Answered
    ) -> bool:
        """Have one request carried out.

        Args:
            fast: Its route.
            authorization: The header of that name; empty for none.
            body: Its body, whole.
            scope: Has its `path` and `method`; gets `auth`, and what its line in the log says
                (`gate.note`).
            answered: Called once, perhaps before this returns.

        Returns:
            False, and nothing was done, if the framework must look at it.
        """
        try:
            caller = self._keeper.admit_known(authorization.decode("latin-1"), fast.scopes)
            if caller is None:
                return False
            request = fast.understood(self._backend, caller.name, body, scope)
        except Exception:  # noqa: BLE001  (whatever is wrong with it, the framework's routes say so)
            return False
        scope["auth"] = caller
        share = self._shares.get(caller.name)
        if share is None:
            share = self._shares[caller.name] = _Share(self._backend)
        errand = _Errand(fast, self._backend, request, scope, answered)
        loop = asyncio.get_running_loop()
        errand.timer = loop.call_later(self._wait_s, share.late, errand)
        share.take(errand)
        return True
