"""The way past the web framework for a few busy routes, whose layers cost more than the books do.

It knows the good case only: a JSON body that is understood, from a caller who may.  What it does
not understand goes on to the framework's routes untouched, so there is one place that says what is
wrong, and one description of the interface.  Doors say which routes are busy (`ivr/shortcut.py`,
`ussd/shortcut.py`); their tests hold both ways to the same answers.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from litestar import Litestar

from telcod.types import Request
from telcod.web.gate import Message, Receive, Send
from telcod.web.gate import Scope as HttpScope
from telcod.web.ports import Backend
from telcod.web.problems import MEDIA_TYPE, rendered
from telcod.web.scopes import Scope

JSON: Final = "application/json"


class Fast(NamedTuple):
    """One request to a busy route.

    `understood` makes the request of the caller's name and the body, or raises anything at all;
    `carried_out` has it done, within so many seconds, and says what is answered as JSON.
    """

    scopes: Sequence[Scope]
    understood: Callable[[Backend, str, bytes, HttpScope], Request]
    carried_out: Callable[[Backend, Request, HttpScope, float], Awaitable[Any]]


# The busy route that a path of a POST leads to; None for what the framework must look at.
Finder = Callable[[str], Fast | None]


class Shortcut:
    """Goes before the framework's application on the TCP port.

    Args:
        app: The application, for all that is not busy, or not good.
        finders: One of each door.
    """

    def __init__(self, app: Litestar, *finders: Finder) -> None:
        self._app: Final = app
        self._finders: Final = finders
        self._backend: Final[Backend] = app.state.backend
        self._keeper: Final = app.state.keeper
        self._wait_s: Final[float] = app.state.limits.answer_wait_s

    async def __call__(self, scope: HttpScope, receive: Receive, send: Send) -> None:
        """Serve one request; see the top of this file."""
        fast = self._found(scope)
        if fast is None:
            await self._app(scope, receive, send)  # type: ignore[arg-type]
            return
        body, messages = await _body(receive)
        try:
            authorization = _header(scope, b"authorization").decode("latin-1")
            caller = await self._keeper.admit(authorization, fast.scopes)
            said = fast.understood(self._backend, caller.name, body, scope)
            scope["auth"] = caller
        except Exception:  # noqa: BLE001  (whatever is wrong with it, the framework's routes say so)
            await self._app(scope, _again(messages, receive), send)  # type: ignore[arg-type]
            return
        try:
            answer = await fast.carried_out(self._backend, said, scope, self._wait_s)
        except Exception as error:  # noqa: BLE001  (the edge of one HTTP request)
            problem = rendered(error, path=scope["path"], method=scope["method"])
            await _send(send, problem.status, problem.body, MEDIA_TYPE, problem.headers)
            return
        await _send(send, 200, msgspec.json.encode(answer), JSON, {})

    def _found(self, scope: HttpScope) -> Fast | None:
        if scope["type"] != "http" or scope["method"] != "POST":
            return None
        for find in self._finders:
            fast = find(scope["path"])
            if fast is not None:
                break
        else:
            return None
        # The framework counts what comes in chunks, and reads what calls itself something else.
        plain = _header(scope, b"content-type") == b"application/json"
        return fast if plain and _header(scope, b"content-length") else None


def _header(scope: HttpScope, name: bytes) -> bytes:
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return b""


async def _body(receive: Receive) -> tuple[bytes, list[Message]]:
    """The body, and the messages it came in; the gate has looked at its length."""
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    return b"".join(message.get("body", b"") for message in messages), messages


def _again(messages: list[Message], receive: Receive) -> Receive:
    """The same messages for another reader."""
    waiting = iter(messages)

    def take() -> Awaitable[Message]:
        message = next(waiting, None)
        return receive() if message is None else _ready(message)

    return take


async def _ready(message: Message) -> Message:
    return message


async def _send(send: Send, status: int, body: bytes, kind: str, headers: dict[str, str]) -> None:
    fields = [
        (b"content-type", kind.encode()),
        (b"content-length", b"%d" % len(body)),
        *((name.lower().encode(), value.encode()) for name, value in headers.items()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})
