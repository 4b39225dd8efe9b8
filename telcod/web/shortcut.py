"""The way past ASGI and the web framework for a few busy routes, whose layers cost more than the
books do.

It knows the good case only: a JSON body that is understood, from a caller who may.  What it does
not understand goes on to the framework's routes untouched, so there is one place that says what is
wrong, and one description of the interface.  Doors say which routes are busy (`ivr/shortcut.py`,
`ussd/shortcut.py`); their tests hold both ways to the same answers.

Nothing here reads or writes a socket: `protocol.py` does.
"""

import asyncio
from collections.abc import Callable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from litestar import Litestar

from telcod.errors import TelcodError, Unavailable
from telcod.types import Answer, Request
from telcod.web.ports import Backend
from telcod.web.problems import MEDIA_TYPE, rendered
from telcod.web.scopes import Scope
from telcod.web.turns import Turns

if TYPE_CHECKING:
    from telcod.web.auth import Gatekeeper

JSON: Final = "application/json"
UNDER_WAY_MAX: Final = 128
"""How many requests of one token the engine has at once; more of them wait here."""

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


class Full(NamedTuple):
    """A route of the framework's that may have no room for a caller: he is told so without it.

    `refuses` says why `Caller.actor` would be refused now; None if the framework is to look.
    """

    scopes: Sequence[Scope]
    refuses: Callable[[str], TelcodError | None]


# The busy route that a path of a POST leads to; None for what only the framework knows.
Finder = Callable[[str], Fast | Full | None]


class _Errand:
    """One request on its way through the books.  Whichever comes first answers: they, or time."""

    __slots__ = ("_answered", "_backend", "_fast", "_scope", "caller", "request", "timer")

    def __init__(
        self,
        fast: Fast,
        backend: Backend,
        caller: str,
        request: Request,
        scope: HttpScope,
        answered: Answered,
    ) -> None:
        self._fast: Final = fast
        self._backend: Final = backend
        self._scope: Final = scope
        self._answered: Answered | None = answered
        self.caller: Final = caller
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
        self._turns: Final = Turns(self._post, most=UNDER_WAY_MAX)

    def find(self, path: str) -> Fast | Full | None:
        """The busy route that a path of a POST leads to, if it leads to one."""
        for find in self._finders:
            fast = find(path)
            if fast is not None:
                return fast
        return None

    def carry_out(
        self,
        fast: Fast | Full,
        authorization: bytes,
        body: bytes,
        scope: HttpScope,
        answered: Answered,
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
        if isinstance(fast, Full):
            return self._refused(fast, authorization, scope, answered)
        try:
            caller = self._keeper.admit_known(authorization.decode("latin-1"), fast.scopes)
            if caller is None:
                return False
            request = fast.understood(self._backend, caller.name, body, scope)
        except Exception:  # noqa: BLE001  (whatever is wrong with it, the framework's routes say so)
            return False
        scope["auth"] = caller
        errand = _Errand(fast, self._backend, caller.name, request, scope, answered)
        loop = asyncio.get_running_loop()
        errand.timer = loop.call_later(self._wait_s, self._late, errand)
        self._turns.take(caller.name, errand)
        return True

    def _refused(
        self, full: Full, authorization: bytes, scope: HttpScope, answered: Answered
    ) -> bool:
        caller = self._keeper.known(authorization.decode("latin-1"))
        if caller is None or caller.scope not in full.scopes:
            return False
        error = full.refuses(caller.actor)
        if error is None:
            return False
        scope["auth"] = caller
        problem = rendered(error, path=scope["path"], method=scope["method"])
        answered(problem.status, problem.body, MEDIA_TYPE, problem.headers)
        return True

    def _post(self, errand: _Errand) -> None:
        def told(result: Result) -> None:
            errand.told(result)
            self._turns.over(errand.caller)

        self._backend.post(errand.request, told)

    def _late(self, errand: _Errand) -> None:
        """Its time is up; what the books do later stands."""
        what_to_do = "Send the same again in a moment."
        errand.told(Unavailable("the books did not answer in time", what_to_do=what_to_do))
        # All wait equally long, so who is late was the first; what waits here was not begun.
        self._turns.leave_out(errand.caller, _waits)


def _waits(errand: _Errand) -> bool:
    return errand.waits
