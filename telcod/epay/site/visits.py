"""Who visits the payment site: his language, his form, his address, and how often he may ask."""

import secrets
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from litestar import Request as HttpRequest
from litestar.datastructures import Cookie

from telcod.clock import Clock
from telcod.epay.gateway import is_page
from telcod.epay.site.forms import read_fields
from telcod.errors import Refusal
from telcod.types import Language
from telcod.vault import Vault
from telcod.web.limits import AllowList, Buckets
from telcod.web.page_guard import (
    FORM_COOKIE,
    FORM_FIELD,
    FORM_KEPT_S,
    FormTokens,
    neighbourhood,
    payer_address,
)
from telcod.web.pages import LANGUAGE_COOKIE, LANGUAGE_KEPT_S, choose_language
from telcod.web.staff_requests import Refused

_COOKIE_BYTES: Final = 18
_MINUTE_S: Final = 60

AnyRequest = HttpRequest[Any, Any, Any]


class SiteLimits(NamedTuple):
    """How much one address may ask; behind one of a mobile network there are many payers."""

    pages_per_s: int = 20
    pages_burst: int = 100
    lookups_per_min: int = 30
    payments_per_min: int = 60
    burst: int = 30


class SiteSettings(NamedTuple):
    """What the site must know of where it stands.

    Args:
        url: Where payers find it, without a path; empty: as the request says.
        gateway_url: The gateway's API; its origin is where payers are sent to at once.
        proxies: Our own proxies, whose `X-Forwarded-For` is believed; None: there are none.
        limits: How much one address may ask.
    """

    url: str = ""
    gateway_url: str = ""
    proxies: AllowList | None = None
    limits: SiteLimits = SiteLimits()

    @property
    def is_secure(self) -> bool:
        """Whether payers come by https."""
        return self.url.startswith("https:")


class Visit(NamedTuple):
    """One request for a page; `address` is the payer's, `is_genuine` that his form is ours."""

    request: AnyRequest
    language: Language
    chose: bool
    fields: Mapping[str, str]
    cookie: str
    knows_cookie: bool
    is_genuine: bool
    address: str
    base_url: str


class Visitors:
    """Tells visitors apart and counts them.

    Args:
        settings: Where the site stands, and how much one address may ask.
        vault: Makes the tokens of forms.
        clock: For the limits.
    """

    def __init__(self, settings: SiteSettings, vault: Vault, clock: Clock) -> None:
        self._settings: Final = settings
        self._clock: Final = clock
        self._tokens: Final = FormTokens(vault, "pay")
        limits = settings.limits
        self._pages: Final = Buckets(rate_per_s=limits.pages_per_s, burst=limits.pages_burst)
        # These two count by the minute: their clock runs in minutes.
        self._lookups: Final = Buckets(rate_per_s=limits.lookups_per_min, burst=limits.burst)
        self._payments: Final = Buckets(rate_per_s=limits.payments_per_min, burst=limits.burst)

    def visit(self, request: AnyRequest, body: bytes = b"") -> Visit:
        """Who asks, in which language, with which form.

        Raises:
            Refused: He asks too often.
        """
        headers, cookies = request.headers, request.cookies
        client = request.client.host if request.client else ""
        forwarded = headers.get("x-forwarded-for", "")
        address = payer_address(client, forwarded, self._settings.proxies)
        fields = read_fields(body)
        cookie = cookies.get(FORM_COOKIE, "")
        token = fields.get(FORM_FIELD, "")
        fetch_site = headers.get("sec-fetch-site", "")
        asked = str(request.query_params.get("lang", ""))
        visit = Visit(
            request=request,
            language=language_of(request),
            chose=asked in set(Language),
            fields=fields,
            cookie=cookie or secrets.token_urlsafe(_COOKIE_BYTES),
            knows_cookie=bool(cookie),
            is_genuine=self._tokens.is_genuine(cookie, token, fetch_site=fetch_site),
            address=address,
            base_url=self._settings.url.rstrip("/") or _base_url(request),
        )
        self._count(self._pages, visit, unit_s=1)
        return visit

    def count_lookup(self, visit: Visit) -> None:
        """He tries a password.

        Raises:
            Refused: He tries too often.
        """
        self._count(self._lookups, visit)

    def count_payment(self, visit: Visit) -> None:
        """He wants to pay.

        Raises:
            Refused: He wants it too often.
        """
        self._count(self._payments, visit)

    def token(self, visit: Visit) -> str:
        """What his forms carry."""
        return self._tokens.token(visit.cookie)

    def cookies(self, visit: Visit) -> list[Cookie]:
        """What his browser is to keep."""
        # Lax: who comes back from the gateway's page brings them, other sites' forms don't.
        kept: dict[str, Any] = {"path": "/", "httponly": True, "secure": self._settings.is_secure}
        cookies = []
        if not visit.knows_cookie:
            made = Cookie(FORM_COOKIE, value=visit.cookie, max_age=FORM_KEPT_S, **kept)
            cookies.append(made)
        if visit.chose:
            language = visit.language.value
            cookies.append(Cookie(LANGUAGE_COOKIE, value=language, max_age=LANGUAGE_KEPT_S, **kept))
        return cookies

    def _count(self, buckets: Buckets, visit: Visit, *, unit_s: int = _MINUTE_S) -> None:
        now = self._clock.monotonic_s() / unit_s
        if not buckets.may_call(neighbourhood(visit.address), now_s=now):
            raise Refused(Refusal.TOO_OFTEN, "too many requests come from this address")


def language_of(request: AnyRequest) -> Language:
    """The language of who asks; see `choose_language`."""
    return choose_language(
        str(request.query_params.get("lang", "")),
        request.cookies.get(LANGUAGE_COOKIE, ""),
        request.headers.get("accept-language", ""),
    )


def _base_url(request: AnyRequest) -> str:
    """Where this request was sent to, as the browser said; it is sent back there afterwards."""
    base_url = f"{request.url.scheme}://{request.headers.get('host', '')}"
    if not is_page(base_url):
        raise Refused(Refusal.MALFORMED, "the header Host makes no sense")
    return base_url
