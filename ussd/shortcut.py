"""The steps of dialogues past the web framework: `telcod/web/shortcut.py` says how.

What is wrong with a step is said by the routes of `http.py`.
"""

from typing import Final

import msgspec

from telcod.errors import TelcodError
from telcod.types import Answer, Request
from telcod.web.ports import Backend
from telcod.web.shortcut import Fast, HttpScope
from ussd.http import GATEWAYS, asked_of, screen_of
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

    return Fast(GATEWAYS, understood, _answered)


def _answered(_: Backend, asked: Request, result: Answer | TelcodError, scope: HttpScope) -> Shown:
    return screen_of(asked, result, scope)
