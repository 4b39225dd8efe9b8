"""What the app's API and the site's pages share: codes and tokens made, limits kept, the books
asked (SELF-1).

Everything goes through the one writer as a `Request`: `self.*` of `handlers/selfcare.py`.  Codes
and tokens are drawn here; the books get a keyed hash of the one and a hash of the other.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from telcod.errors import Refusal
from telcod.msisdn import Msisdn
from telcod.types import Channel, Request
from telcod.vault import Vault, token_hash
from telcod.web.limits import AllowList, Buckets
from telcod.web.page_guard import neighbourhood, payer_address
from telcod.web.ports import Backend
from telcod.web.staff_requests import Refused, checked
from telcod.web.tokens import TOKEN_PREFIX

CODE_DIGITS: Final = 6
TOKEN_BYTES: Final = 32
SESSION_PREFIX: Final = f"{TOKEN_PREFIX}me_"  # by which logs know what to hide
TOKEN_CHARS_MAX: Final = 100
ANSWER_S: Final = 0.1
"""An answer to who is not logged in takes at least so long: how long the work took says nothing."""

# Whole networks of phones share an address: this bounds a flood, not a person.
ADDRESS_RATE_PER_S: Final = 2
ADDRESS_BURST: Final = 60
SESSION_RATE_PER_S: Final = 5
SESSION_BURST: Final = 60
CODES_RATE_PER_S: Final = 20
CODES_BURST: Final = 200
_OWN_PROXIES: Final = AllowList(("127.0.0.0/8", "::1/128"))

SESSION_NONE: Final = "self.no_session"
MALFORMED: Final = "self.malformed"


class LoggedIn(NamedTuple):
    """A session that was just opened; `token` is shown once and never kept."""

    token: str
    language: str


class Door:
    """One for a daemon, whatever page or call comes.

    Args:
        backend: The daemon.
        vault: Makes the keyed hash of a code.
        answer_s: See `ANSWER_S`.
        draw_code: Draws a code; tests know theirs.
    """

    def __init__(
        self,
        backend: Backend,
        vault: Vault,
        *,
        answer_s: float = ANSWER_S,
        draw_code: Callable[[], str] | None = None,
    ) -> None:
        self._backend: Final = backend
        self._vault: Final = vault
        self._answer_s: Final = answer_s
        self._draw_code: Final = draw_code or _code
        self._addresses: Final = Buckets(rate_per_s=ADDRESS_RATE_PER_S, burst=ADDRESS_BURST)
        self._sessions: Final = Buckets(rate_per_s=SESSION_RATE_PER_S, burst=SESSION_BURST)
        self._codes: Final = Buckets(rate_per_s=CODES_RATE_PER_S, burst=CODES_BURST)

    async def ask_code(self, number: Msisdn, *, channel: Channel, address: str) -> None:
        """Have a code sent to a number, if it is a subscriber's.  Nobody is told whether it is.

        Raises:
            Refused: This address, or everybody together, asks too often; nothing was done.
            TelcodError: See `Backend.submit`.
        """
        self._limit(self._addresses, address)
        self._limit(self._codes, "all")
        code = self._draw_code()
        asked = Request(
            "self.login",
            sender=number,
            args=(self._code_hash(number, code),),
            channel=channel,
            body={"code": code},
        )
        await self._slowly(asked)

    async def confirm(
        self, number: Msisdn, code: str, *, channel: Channel, address: str
    ) -> LoggedIn | None:
        """Open a session for who has typed the right code; None whatever the reason why not.

        Raises:
            Refused: This address asks too often; nothing was done.
            TelcodError: See `Backend.submit`.
        """
        self._limit(self._addresses, address)
        token = SESSION_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
        typed = "".join(code.split())
        said = await self._slowly(
            Request(
                "self.confirm",
                sender=number,
                args=(self._code_hash(number, typed), token_hash(token)),
                channel=channel,
            )
        )
        if said["outcome"] != "self.confirmed":
            return None
        return LoggedIn(token, str(said["language"]))

    async def logout(self, token: str, *, channel: Channel) -> None:
        """End a session; one that is over already is fine."""
        await self._submit(Request("self.logout", args=(token_hash(token),), channel=channel))

    async def do(self, token: str, route: str, *words: str, channel: Channel) -> Mapping[str, Any]:
        """Do what a text would: the route's name, and the words after its keyword.

        Returns:
            `outcome`, `text` and what else that route tells programs.

        Raises:
            Refused: No session; too often; words that the route does not take.
            TelcodError: See `Backend.submit`.
        """
        said = await self._known(token, "self.do", route, *words, channel=channel)
        if said["outcome"] == MALFORMED:
            raise Refused(Refusal.MALFORMED, "this can't be asked for in these words")
        return {name: value for name, value in said.items() if name != "language"}

    async def show(
        self, token: str, part: str, start: int = 0, *, channel: Channel
    ) -> Mapping[str, Any]:
        """A part of what the books hold of who is logged in (`handlers/selfcare_views.py`).

        Raises:
            Refused: No session, or too often.
            TelcodError: See `Backend.submit`.
        """
        return await self._known(token, "self.show", part, str(start), channel=channel)

    async def _known(
        self, token: str, route: str, *args: str, channel: Channel
    ) -> Mapping[str, Any]:
        """One request of who is logged in."""
        if not token or len(token) > TOKEN_CHARS_MAX:
            raise no_session()
        known_by = token_hash(token)
        self._limit(self._sessions, known_by)
        said = await self._submit(Request(route, args=(known_by, *args), channel=channel))
        if said["outcome"] == SESSION_NONE:
            raise no_session()
        return said

    async def _slowly(self, request: Request) -> Mapping[str, Any]:
        """The same, never faster than `answer_s`: whether a number is known must not show."""
        clock = self._backend.clock
        started_s = clock.monotonic_s()
        said = await self._submit(request)
        await asyncio.sleep(max(0.0, self._answer_s - (clock.monotonic_s() - started_s)))
        return said

    async def _submit(self, request: Request) -> Mapping[str, Any]:
        return checked(await self._backend.submit(request))

    def _limit(self, buckets: Buckets, who: str) -> None:
        if not buckets.may_call(who, now_s=self._backend.clock.monotonic_s()):
            raise Refused(Refusal.TOO_OFTEN, "this is asked for too often")

    def _code_hash(self, number: int, code: str) -> str:
        """A keyed hash: of six digits a plain one would tell which."""
        return self._vault.fingerprint(f"login:{number}:{code}".encode()).hex()


def no_session() -> Refused:
    """How it is told that nobody is logged in."""
    return Refused(
        Refusal.NOT_AUTHENTICATED,
        "nobody is logged in with this token, or no longer",
        what_to_do="Log in: POST /self/v1/login, then /self/v1/login/confirm.",
    )


def address_of(peer: str, forwarded_for: str) -> str:
    """Whom to limit: the peer, or who a proxy on this very machine says it is.

    Args:
        peer: The address that the connection comes from.
        forwarded_for: The header `X-Forwarded-For`.
    """
    return neighbourhood(payer_address(peer, forwarded_for, _OWN_PROXIES)) or peer


def _code() -> str:
    return f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}"
