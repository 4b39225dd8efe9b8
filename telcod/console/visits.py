"""Who sits at a page of the console: the session behind a cookie, the token of forms, the address.

A session is the bearer token that was pasted once, sealed with the installation's key: nothing is
kept of it here, the browser can't read it, and it is looked up among the tokens in use at every
page, so a token that is revoked ends it at once.
"""

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from litestar import Request as HttpRequest
from litestar.datastructures import Cookie

from telcod.console.desk import By
from telcod.types import Language
from telcod.vault import Vault
from telcod.web.auth import Caller
from telcod.web.limits import AllowList
from telcod.web.page_guard import payer_address

HOME: Final = "/console"
SESSION_COOKIE: Final = "telcod_staff"
LOGIN_COOKIE: Final = "telcod_staff_form"
SAID_COOKIE: Final = "telcod_staff_said"
SESSION_S: Final = 12 * 3_600
IDLE_S: Final = 3_600
TOUCH_S: Final = 300
"""A session that is used is sealed anew this often."""
SAID_S: Final = 60
_SEALED_CHARS_MAX: Final = 4_000
# A proxy on this very machine is believed when it says for whom it asks.
_OWN_PROXIES: Final = AllowList(("127.0.0.0/8", "::1/128"))

AnyRequest = HttpRequest[Any, Any, Any]


class Session(msgspec.Struct, frozen=True, tag="session"):
    """What is sealed in the cookie; moments are Unix seconds."""

    token: str
    id: str
    started_s: int
    touched_s: int

    def __repr__(self) -> str:
        return "Session(***)"


class Said(msgspec.Struct, frozen=True, tag="said"):
    """What came of an act, for the next page: a key of the words, how it went, the text sent."""

    word: str
    tone: str = "good"
    text: str = ""


class Visit(NamedTuple):
    """One request for a page by who is logged in."""

    request: AnyRequest
    language: Language
    chose_language: bool
    session: Session
    caller: Caller
    address: str

    @property
    def by(self) -> By:
        """As the audit log says it."""
        return By(self.caller.actor, self.address)


S = TypeVar("S", Session, Said)


class Seals:
    """Makes and reads what cookies hold."""

    def __init__(self, vault: Vault) -> None:
        self._vault: Final = vault

    def seal(self, value: Session | Said) -> str:
        """What a cookie holds."""
        return urlsafe_b64encode(self._vault.seal(msgspec.json.encode(value))).decode()

    def open(self, cookie: str, kind: type[S]) -> S | None:
        """What a cookie held; None for what is not of this kind, or not of this installation."""
        if not cookie or len(cookie) > _SEALED_CHARS_MAX:
            return None
        try:
            opened = self._vault.open(urlsafe_b64decode(cookie.encode()))
            return None if opened is None else msgspec.json.decode(opened, type=kind)
        except (ValueError, msgspec.MsgspecError):
            return None


def new_session(token: str, *, now_s: int) -> Session:
    """The session of a token that was just pasted."""
    return Session(token, secrets.token_urlsafe(18), now_s, now_s)


def is_over(session: Session, *, now_s: int) -> bool:
    """Whether it has lasted too long, or nobody has used it for too long."""
    return (
        not session.started_s <= now_s < session.started_s + SESSION_S
        or now_s >= session.touched_s + IDLE_S
    )


def touched_or_none(session: Session, *, now_s: int) -> Session | None:
    """The session as it is to be kept from now on; None: as it is."""
    if now_s - session.touched_s < TOUCH_S:
        return None
    return msgspec.structs.replace(session, touched_s=now_s)


def staff_cookie(request: AnyRequest, name: str, value: str, *, max_age_s: int) -> Cookie:
    """A cookie of the console: no script reads it, no other site has it sent."""
    return Cookie(
        key=name,
        value=value,
        path=HOME,
        max_age=max_age_s,
        httponly=True,
        secure=is_https(request),
        samesite="strict",
    )


def is_https(request: AnyRequest) -> bool:
    """Whether the browser speaks https, with us or with a proxy before us."""
    return "https" in {request.url.scheme, request.headers.get("x-forwarded-proto", "")}


def address_of(request: AnyRequest) -> str:
    """From where somebody asks, for limits and the audit log."""
    client = request.client
    peer = client.host if client else ""
    return payer_address(peer, request.headers.get("x-forwarded-for", ""), _OWN_PROXIES) or peer
