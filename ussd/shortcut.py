"""The steps of dialogues past the web framework: `telcod/web/shortcut.py` says how.

What is wrong with a step is said by the routes of `http.py`.
"""

from typing import Final

import msgspec
from litestar import Litestar

from telcod.types import Request
from telcod.web import shortcut
from telcod.web.gate import Scope as HttpScope
from telcod.web.ports import Backend
from telcod.web.shortcut import Fast
from ussd.http import GATEWAYS, asked_of, show
from ussd.steps import Shown, Step

_SESSIONS: Final = "/ussd/v1/sessions/"
_read: Final = msgspec.json.Decoder(Step).decode


def found(path: str) -> Fast | None:
    """The step that is posted to a path, if it is one."""
    if not path.startswith(_SESSIONS):
        return None
    session_id = path[len(_SESSIONS) :]
    if not session_id or "/" in session_id:
        return None

    def understood(backend: Backend, platform: str, body: bytes, _: HttpScope) -> Request:
        return asked_of(backend, session_id, _read(body), platform=platform)

    return Fast(GATEWAYS, understood, _carried_out)


class Shortcut(shortcut.Shortcut):
    """The shortcut of steps alone."""

    def __init__(self, app: Litestar) -> None:
        super().__init__(app, found)


async def _carried_out(backend: Backend, said: Request, scope: HttpScope, wait_s: float) -> Shown:
    return await show(backend, said, scope, wait_s=wait_s)
