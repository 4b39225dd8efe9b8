"""The reports of calls without the web framework, whose layers cost more than the books do.

It knows the good case only: a report in JSON, by a platform that may.  What it does not understand
goes on to the framework's routes (`http.py`) untouched, so there is one place that says what is
wrong, and one description of the interface.  `tests/ivr` holds both ways to the same answers.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

import msgspec
from litestar import Litestar

from ivr import calls
from ivr.calls import (
    Answered,
    CallAnswer,
    Charged,
    Consent,
    Ended,
    Granted,
    Offer,
    Progress,
)
from ivr.http import JSON, PLATFORMS, caller_of, decide, tell
from telcod.types import Request
from telcod.web.gate import Message, Receive, Send, note
from telcod.web.gate import Scope as HttpScope
from telcod.web.ports import Backend
from telcod.web.problems import MEDIA_TYPE, rendered

_PATH: Final = ["", "ivr", "v1", "calls"]


class _Report(NamedTuple):
    """A kind of report: how its body is read, the request it makes, what is answered."""

    read: Callable[[bytes], Any]
    request: Callable[[Backend, str, str, Any], Request]
    answer: type[Any]


def _reader(shape: type[Any]) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(shape).decode


_OFFER: Final = _Report(
    _reader(Offer),
    lambda backend, platform, _, said: calls.offer(
        said, platform=platform, caller=caller_of(backend, said)
    ),
    CallAnswer,
)
_REPORTS: Final = {
    "consent": _Report(
        _reader(Consent),
        lambda _, platform, call_id, said: calls.consent(call_id, said, platform=platform),
        CallAnswer,
    ),
    "answered": _Report(
        _reader(Answered),
        lambda _, platform, call_id, said: calls.answered(call_id, said, platform=platform),
        Granted,
    ),
    "progress": _Report(
        _reader(Progress),
        lambda _, platform, call_id, said: calls.progress(call_id, said, platform=platform),
        Granted,
    ),
    "ended": _Report(
        _reader(Ended),
        lambda _, platform, call_id, said: calls.ended(call_id, said, platform=platform),
        Charged,
    ),
}


class Shortcut:
    """Goes before the framework's application on the TCP port."""

    def __init__(self, app: Litestar) -> None:
        self._app: Final = app
        self._backend: Final[Backend] = app.state.backend
        self._keeper: Final = app.state.keeper
        self._wait_s: Final[float] = app.state.limits.answer_wait_s

    async def __call__(self, scope: HttpScope, receive: Receive, send: Send) -> None:
        """Serve one request; see the top of this file."""
        found = _found(scope)
        if found is None:
            await self._app(scope, receive, send)  # type: ignore[arg-type]
            return
        report, call_id = found
        body, messages = await _body(receive)
        try:
            said = await self._understood(scope, report, call_id, body)
        except Exception:  # noqa: BLE001  (whatever is wrong with it, the framework's routes say so)
            await self._app(scope, _again(messages, receive), send)  # type: ignore[arg-type]
            return
        await self._carry_out(scope, report, said, send)

    async def _understood(
        self, scope: HttpScope, report: _Report, call_id: str, body: bytes
    ) -> Request:
        authorization = _header(scope, b"authorization")
        caller = await self._keeper.admit(authorization.decode("latin-1"), PLATFORMS)
        read = report.read(body)
        said = report.request(self._backend, caller.name, call_id, read)
        scope["auth"] = caller
        if isinstance(read, Ended):
            note(scope, cause=read.cause)
        return said

    async def _carry_out(
        self, scope: HttpScope, report: _Report, said: Request, send: Send
    ) -> None:
        try:
            if report.answer is CallAnswer:
                answer: Any = await decide(self._backend, said, scope, wait_s=self._wait_s)
            else:
                answer = await tell(self._backend, said, scope, report.answer, wait_s=self._wait_s)
        except Exception as error:  # noqa: BLE001  (the edge of one HTTP request)
            problem = rendered(error, path=scope["path"], method=scope["method"])
            await _send(send, problem.status, problem.body, MEDIA_TYPE, problem.headers)
            return
        await _send(send, 200, msgspec.json.encode(answer), JSON, {})


def _found(scope: HttpScope) -> tuple[_Report, str] | None:
    """Which report it is, of which call; None for what the framework must look at."""
    if scope["type"] != "http" or scope["method"] != "POST":
        return None
    words = scope["path"].split("/")
    if words[: len(_PATH)] != _PATH or _header(scope, b"content-type") != JSON.encode():
        return None
    if not _header(scope, b"content-length"):
        return None  # the framework counts what comes in chunks
    if len(words) == len(_PATH):
        return _OFFER, ""
    report = _REPORTS.get(words[-1]) if len(words) == len(_PATH) + 2 else None
    return None if report is None or not words[-2] else (report, words[-2])


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
