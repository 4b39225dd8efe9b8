"""`/console`: the pages of staff: find, understand, act (CARE-1…3).

Who is logged in is said by a sealed cookie (`visits.py`); a form carries the token of that session.
After each act the browser is sent on, with what came of it in a cookie for a minute, so that going
back or reloading repeats nothing.  There is no script on these pages.
"""

import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.status_codes import HTTP_200_OK, HTTP_303_SEE_OTHER

from telcod.console.charts import short
from telcod.console.desk import ID_CHARS_MAX, PAYMENT_ACTS, Desk
from telcod.console.report_pages import read_shown
from telcod.console.visits import (
    HOME,
    LOGIN_COOKIE,
    SAID_COOKIE,
    SAID_S,
    SESSION_COOKIE,
    SESSION_S,
    AnyRequest,
    Said,
    Seals,
    Session,
    Visit,
    address_of,
    is_https,
    is_over,
    new_session,
    staff_cookie,
    touched_or_none,
)
from telcod.days import business_date
from telcod.errors import KeyReused, Refusal
from telcod.msisdn import Msisdn, NumberError, national
from telcod.storage.care_queries import KINDS, NOW_MS_MAX
from telcod.types import Language
from telcod.vault import Vault
from telcod.web.auth import Caller, Gatekeeper
from telcod.web.gate import note
from telcod.web.limits import Buckets
from telcod.web.page_guard import FORM_FIELD, FormTokens, neighbourhood, page_headers
from telcod.web.pages import LANGUAGE_COOKIE, LANGUAGE_KEPT_S, Pages, choose_language
from telcod.web.problems import problem_of
from telcod.web.report_routes import day_of
from telcod.web.scopes import Scope
from telcod.web.staff_requests import KEY_CHARS_MAX, REASON_CHARS_MAX, Refused, refusal_or_none

Page = Response[str]
Shower = Callable[[Visit], Awaitable[Page]]
Doer = Callable[[Visit, Mapping[str, str]], Awaitable[Page]]

FOLDER: Final = Path(__file__).parent
STAFF: Final = (Scope.STAFF, Scope.ADMIN)
LOGINS_PER_MIN: Final = 10
FIELDS_MAX: Final = 20
TOKEN_CHARS_MAX: Final = 200
TEXT_SHOWN_MAX: Final = 1_200
CURSOR_CHARS_MAX: Final = 16
_MINUTE_S: Final = 60


class Site:
    """The pages of one daemon.

    Args:
        desk: What staff can ask and do.
        vault: Seals sessions, makes the tokens of forms.
    """

    def __init__(self, desk: Desk, vault: Vault) -> None:
        self._desk: Final = desk
        self._clock: Final = desk.backend.clock
        self._seals: Final = Seals(vault)
        self._tokens: Final = FormTokens(vault, "staff")
        self._logins: Final = Buckets(rate_per_s=LOGINS_PER_MIN, burst=LOGINS_PER_MIN)
        self._ended: dict[str, int] = {}

        # A function: the framework copies what it is given, and a method would bring all of us.
        def answer(request: AnyRequest, error: Exception) -> Page:
            return self._wrong(request, error)

        self._answer: Final = answer
        self.pages: Final = Pages(FOLDER / "templates", FOLDER / "words", home=HOME)
        for language in self.pages.words:
            lacking = {f"kind.{kind}" for kind in KINDS} - set(self.pages.words[language])
            if lacking:
                raise ValueError(f"the console's words lack {sorted(lacking)}")

    def routes(self) -> tuple[HTTPRouteHandler, ...]:
        """The routes; none of them is part of the API."""
        number, payment = "/subscribers/{msisdn:str}", "/payments/{payment_id:str}"
        return (
            *self._login_routes(),
            self._get(HOME, self._home),
            self._get(f"{HOME}/find", self._find),
            self._get(f"{HOME}{number}", self._subscriber),
            self._post(f"{HOME}{number}/act", self._act),
            self._post(f"{HOME}{number}/unlock", self._unlock),
            self._post(f"{HOME}{number}/resend", self._resend),
            self._get(f"{HOME}{payment}", self._payment),
            self._post(f"{HOME}{payment}/{{act:str}}", self._on_payment),
            self._get(f"{HOME}/cases", self._cases),
            self._post(f"{HOME}/cases/close", self._close_case),
            self._get(f"{HOME}/centres", self._centres),
            self._post(f"{HOME}/centres", self._set_centre),
            self._get(f"{HOME}/reports", self._reports),
            self._get(f"{HOME}/audit", self._audit),
            self._post(f"{HOME}/logout", self._logout),
        )

    # -- logging in

    def _login_routes(self) -> tuple[HTTPRouteHandler, ...]:
        common: dict[str, Any] = {
            "include_in_schema": False,
            "exception_handlers": {Exception: self._answer},
            "media_type": "text/html",
            "status_code": HTTP_200_OK,
        }

        @get(f"{HOME}/login", **common)
        async def login_page(request: AnyRequest) -> Page:
            return self._login_page(request)

        @post(f"{HOME}/login", **common)
        async def login(request: AnyRequest) -> Page:
            return await self._log_in(request)

        return (login_page, login)

    async def _log_in(self, request: AnyRequest) -> Page:
        fields = await _fields_of(request)
        cookie = request.cookies.get(LOGIN_COOKIE, "")
        if not self._is_genuine(request, cookie, fields):
            return self._login_page(request, problem="stale", status=403)
        minutes = self._clock.monotonic_s() / _MINUTE_S
        address = address_of(request)
        if not self._logins.may_call(neighbourhood(address) or address, now_s=minutes):
            raise Refused(Refusal.TOO_OFTEN, "too many try to log in from this address")
        token = fields.get("token", "").strip()[:TOKEN_CHARS_MAX]
        try:
            request.scope["auth"] = await self._admit(request, token)
        except Refused as error:
            if error.refusal not in {Refusal.NOT_AUTHENTICATED, Refusal.NOT_PERMITTED}:
                raise
            note(request.scope, outcome="login.refused")
            known = error.refusal is Refusal.NOT_PERMITTED
            problem, status = ("login.scope", 403) if known else ("login.unknown", 401)
            return self._login_page(request, problem=problem, status=status)
        note(request.scope, outcome="login.done")
        page = self._onward(HOME)
        sealed = self._seals.seal(new_session(token, now_s=self._now_s()))
        page.set_cookie(staff_cookie(request, SESSION_COOKIE, sealed, max_age_s=SESSION_S))
        page.delete_cookie(LOGIN_COOKIE, path=HOME)
        return page

    async def _logout(self, visit: Visit, _fields: Mapping[str, str]) -> Page:
        """The cookie goes, and a copy of it would open nothing here any more."""
        now_s = self._now_s()
        self._ended = {one: at for one, at in self._ended.items() if at > now_s - SESSION_S}
        self._ended[visit.session.id] = now_s
        page = self._onward(f"{HOME}/login")
        page.delete_cookie(SESSION_COOKIE, path=HOME)
        return page

    def _login_page(self, request: AnyRequest, *, problem: str = "", status: int = 200) -> Page:
        cookie = request.cookies.get(LOGIN_COOKIE) or secrets.token_urlsafe(18)
        language, chose = self._language(request)
        page = self._render(
            request,
            language,
            "login.html",
            status=status,
            chose_language=chose,
            problem=problem,
            token=self._tokens.token(cookie),
        )
        page.set_cookie(staff_cookie(request, LOGIN_COOKIE, cookie, max_age_s=SESSION_S))
        return page

    async def _admit(self, request: AnyRequest, token: str) -> Caller:
        """Who has this token, which counts as a call of it.

        Raises:
            Refused: It is unknown, revoked, of another scope, or used too often.
        """
        keeper: Gatekeeper = request.app.state.keeper
        return await keeper.admit(f"Bearer {token}", STAFF)

    async def _visit(self, request: AnyRequest) -> Visit:
        session = self._seals.open(request.cookies.get(SESSION_COOKIE, ""), Session)
        if session is None or session.id in self._ended or is_over(session, now_s=self._now_s()):
            raise Refused(Refusal.NOT_AUTHENTICATED, "nobody is logged in here")
        caller = await self._admit(request, session.token)
        request.scope["auth"] = caller
        language, chose = self._language(request)
        return Visit(request, language, chose, session, caller, address_of(request))

    # -- finding

    async def _home(self, visit: Visit) -> Page:
        found = Counter(case.kind for case in await self._desk.cases())
        return self._page(visit, "home.html", typed="", problem="", counts=found.most_common())

    async def _find(self, visit: Visit) -> Page:
        """A number in any form, or the id of a payment."""
        typed = visit.request.query_params.get("q", "").strip()[:ID_CHARS_MAX]
        number = self._desk.backend.parse_number(typed)
        if not isinstance(number, NumberError):
            return self._onward(_of_number(number))
        if typed.isascii() and typed.replace("-", "").replace("_", "").isalnum():
            return self._onward(_of_payment(typed))
        counts = Counter(case.kind for case in await self._desk.cases()).most_common()
        return self._page(
            visit, "home.html", status=422, typed=typed, problem="find.bad", counts=counts
        )

    # -- a subscriber

    async def _subscriber(self, visit: Visit) -> Page:
        number = self._number(visit)
        query = visit.request.query_params
        kind, before = query.get("kind", ""), _cursor(query.get("before", "0"))
        shown, page = await self._desk.story(visit.by, number, kind=kind, before=before)
        return self._page(
            visit,
            "subscriber.html",
            path=_of_number(number),
            number=national(number),
            him=shown,
            kinds=KINDS,
            kind=kind,
            before=before,
            story=page,
            national=_national,
            key=_new_key(),
        )

    async def _act(self, visit: Visit, fields: Mapping[str, str]) -> Page:
        number = self._number(visit)
        words = fields.get("words", "").upper().split()
        act = fields.get("act", "")
        acted = await self._desk.act(visit.by, number, act, words, key=_key(fields))
        note(visit.request.scope, act=act, outcome=acted.outcome)
        word, tone = ("done.told", "good") if acted.told else ("done.unchanged", "wait")
        return self._onward(_of_number(number), visit, Said(word, tone, acted.text))

    async def _unlock(self, visit: Visit, fields: Mapping[str, str]) -> Page:
        number = self._number(visit)
        outcome = await self._desk.unlock(visit.by, number, key=_key(fields))
        return self._onward(_of_number(number), visit, Said(f"done.{outcome}"))

    async def _resend(self, visit: Visit, fields: Mapping[str, str]) -> Page:
        number = self._number(visit)
        await self._desk.resend(visit.by, fields.get("seq", ""), key=_key(fields))
        return self._onward(_of_number(number), visit, Said("done.resent"))

    # -- a payment

    async def _payment(self, visit: Visit) -> Page:
        payment_id = str(visit.request.path_params["payment_id"])
        found = await self._desk.payment(visit.by, payment_id)
        payment = found.payment
        return self._page(
            visit,
            "payment.html",
            path=_of_payment(payment.id),
            found=found,
            payment=payment,
            number=_national(str(payment.msisdn)),
            actor=visit.caller.actor,
            key=_new_key(),
        )

    async def _on_payment(self, visit: Visit, fields: Mapping[str, str]) -> Page:
        params = visit.request.path_params
        payment_id, act = str(params["payment_id"]), str(params["act"])
        if act not in PAYMENT_ACTS:
            raise Refused(Refusal.NOT_FOUND, "there is no such act")
        reason = _reason(fields)
        verdict = (fields.get("verdict", ""),) if act == "review" else ()
        outcome = await self._desk.on_payment(
            visit.by, act, payment_id, *verdict, reason, key=_key(fields)
        )
        note(visit.request.scope, act=act, payment=payment_id, outcome=outcome)
        return self._onward(_of_payment(payment_id), visit, Said(f"done.{outcome}"))

    # -- what waits

    async def _cases(self, visit: Visit) -> Page:
        kind = visit.request.query_params.get("kind", "")
        found = await self._desk.cases()
        counts = Counter(case.kind for case in found).most_common()
        shown = [case for case in found if not kind or case.kind == kind]
        return self._page(
            visit,
            "cases.html",
            path=f"{HOME}/cases",
            cases=shown,
            counts=counts,
            kind=kind,
            national=_national,
        )

    async def _close_case(self, visit: Visit, fields: Mapping[str, str]) -> Page:
        source, name = fields.get("source", ""), fields.get("id", "")
        outcome = await self._desk.close_case(visit.by, source, name, _reason(fields))
        note(visit.request.scope, case=f"{source} {name}", outcome=outcome)
        return self._onward(f"{HOME}/cases", visit, Said(f"done.{outcome}"))

    async def _centres(self, visit: Visit) -> Page:
        found = await self._desk.centres()
        return self._page(visit, "centres.html", path=f"{HOME}/centres", centres=found)

    async def _set_centre(self, visit: Visit, fields: Mapping[str, str]) -> Page:
        centre, word = fields.get("centre", ""), fields.get("clearing", "")
        if centre not in {"1", "2", "3", "4", "5", "6"}:
            raise Refused(Refusal.NOT_FOUND, "there are the centres 1 to 6")
        outcome = await self._desk.set_centre(visit.by, int(centre), word)
        note(visit.request.scope, centre=centre, outcome=outcome)
        return self._onward(f"{HOME}/centres", visit, Said(f"done.{outcome}"))

    # -- what the books say

    async def _reports(self, visit: Visit) -> Page:
        query = visit.request.query_params
        typed = query.get("date", "")
        day = day_of(typed, field="date") if typed else business_date(self._clock.wall_ms())
        name = query.get("name", "packages")
        shown = await read_shown(self._desk.report, name, day, self._namer(visit.language))
        return self._page(visit, "reports.html", path=f"{HOME}/reports", shown=shown, short=short)

    async def _audit(self, visit: Visit) -> Page:
        query = visit.request.query_params
        asked = {name: query.get(name, "").strip()[:100] for name in ("actor", "subject", "action")}
        number = self._desk.backend.parse_number(asked["subject"])
        subject = asked["subject"] if isinstance(number, NumberError) else str(number)
        page = await self._desk.audit(
            before=_cursor(query.get("before", "0")),
            actor=asked["actor"],
            subject=subject,
            action=asked["action"],
        )
        older = urlencode({**asked, "before": page.before})
        return self._page(
            visit, "audit.html", path=f"{HOME}/audit", asked=asked, audit=page, older=older
        )

    # -- how pages are made

    def _get(self, path: str, show: Shower) -> HTTPRouteHandler:
        @get(
            path,
            include_in_schema=False,
            exception_handlers={Exception: self._answer},
            media_type="text/html",
        )
        async def handler(request: AnyRequest) -> Page:
            return await show(await self._visit(request))

        return handler

    def _post(self, path: str, do: Doer) -> HTTPRouteHandler:
        @post(
            path,
            include_in_schema=False,
            exception_handlers={Exception: self._answer},
            media_type="text/html",
            status_code=HTTP_200_OK,
        )
        async def handler(request: AnyRequest) -> Page:
            visit = await self._visit(request)
            fields = await _fields_of(request)
            if not self._is_genuine(request, visit.session.id, fields):
                return self._onward(_back(request), visit, Said("stale", "bad"))
            try:
                return await do(visit, fields)
            except KeyReused:  # The same form, sent again from another address.
                return self._onward(_back(request), visit, Said("done.before", "wait"))
            except Refused as error:
                word = self._word_of(visit.language, error)
                if not word:
                    raise
                note(request.scope, outcome=str(error.members.get("outcome", error.refusal)))
                return self._onward(_back(request), visit, Said(word, "bad"))

        return handler

    def _page(
        self, visit: Visit, template: str, *, path: str = HOME, status: int = 200, **values: Any
    ) -> Page:
        request = visit.request
        said = self._seals.open(request.cookies.get(SAID_COOKIE, ""), Said)
        if said is not None and said.word not in self.pages.words[visit.language]:
            said = None
        page = self._render(
            request,
            visit.language,
            template,
            path=path,
            status=status,
            chose_language=visit.chose_language,
            token=self._tokens.token(visit.session.id),
            who=visit.caller.name,
            said=said,
            **values,
        )
        if SAID_COOKIE in request.cookies:
            page.delete_cookie(SAID_COOKIE, path=HOME)
        touched = touched_or_none(visit.session, now_s=self._now_s())
        if touched is not None:
            sealed = self._seals.seal(touched)
            page.set_cookie(staff_cookie(request, SESSION_COOKIE, sealed, max_age_s=SESSION_S))
        return page

    def _render(
        self,
        request: AnyRequest,
        language: Language,
        template: str,
        *,
        path: str = f"{HOME}/login",
        status: int = 200,
        chose_language: bool = False,
        **values: Any,
    ) -> Page:
        values = {"who": "", "said": None, "key": "", **values}
        text = self.pages.render(
            template,
            language,
            path=path,
            name=self._namer(language),
            **values,
        )
        page = Response(
            text,
            status_code=status,
            media_type="text/html",
            headers=page_headers(secure=is_https(request)),
        )
        if chose_language:
            page.set_cookie(
                key=LANGUAGE_COOKIE,
                value=language.value,
                path="/",
                max_age=LANGUAGE_KEPT_S,
                httponly=True,
                secure=is_https(request),
                samesite="lax",
            )
        return page

    def _onward(self, path: str, visit: Visit | None = None, said: Said | None = None) -> Page:
        """Send the browser on to a page of ours, which says what came of it."""
        headers = {"Location": path, "Cache-Control": "no-store"}
        page = Response("", status_code=HTTP_303_SEE_OTHER, media_type="text/html", headers=headers)
        if visit is not None and said is not None:
            cut = Said(said.word, said.tone, said.text[:TEXT_SHOWN_MAX])
            sealed = self._seals.seal(cut)
            page.set_cookie(staff_cookie(visit.request, SAID_COOKIE, sealed, max_age_s=SAID_S))
        return page

    def _wrong(self, request: AnyRequest, error: Exception) -> Page:
        """What went wrong, as a page; nobody logged in: the page to do so."""
        if refusal_or_none(error) is Refusal.NOT_AUTHENTICATED:
            gone = self._onward(f"{HOME}/login")
            gone.delete_cookie(SESSION_COOKIE, path=HOME)
            return gone
        problem, wait_s = problem_of(error)
        if problem.code == "failed":  # Nobody foresaw it: the log has it, the page does not.
            note(request.scope, failed=type(error).__name__)
        language, _ = self._language(request)
        words = self.pages.words[language]
        word = self._word_of(language, error) or f"wrong.{problem.status}"
        page = self._render(
            request,
            language,
            "wrong.html",
            path=HOME,
            status=problem.status,
            word=word if word in words else "wrong.other",
        )
        if wait_s:
            page.headers["Retry-After"] = str(wait_s)
        return page

    def _word_of(self, language: Language, error: Exception) -> str:
        """The word for why the rules say no; empty when there is none."""
        if not isinstance(error, Refused):
            return ""
        word = f"no.{error.members.get('outcome', error.field)}"
        return word if word in self.pages.words[language] else ""

    def _language(self, request: AnyRequest) -> tuple[Language, bool]:
        asked = request.query_params.get("lang", "")
        chosen = choose_language(
            asked,
            request.cookies.get(LANGUAGE_COOKIE, ""),
            request.headers.get("accept-language", ""),
        )
        return chosen, asked in set(Language)

    def _namer(self, language: Language) -> Callable[[str], str]:
        """A word for what the books name; what has none stays as the books have it."""
        words = self.pages.words[language]
        return lambda key: words.get(key, key.partition(".")[2])

    def _is_genuine(self, request: AnyRequest, cookie: str, fields: Mapping[str, str]) -> bool:
        fetch_site = request.headers.get("sec-fetch-site", "")
        token = fields.get(FORM_FIELD, "")
        return self._tokens.is_genuine(cookie, token, fetch_site=fetch_site)

    def _number(self, visit: Visit) -> Msisdn:
        return self._desk.number(str(visit.request.path_params["msisdn"]))

    def _now_s(self) -> int:
        return self._clock.wall_ms() // 1_000


async def _fields_of(request: AnyRequest) -> Mapping[str, str]:
    """The fields of a posted form.

    Raises:
        Refused: It is no form.
    """
    try:
        pairs = parse_qsl((await request.body()).decode(), max_num_fields=FIELDS_MAX)
    except ValueError as error:
        raise Refused(Refusal.MALFORMED, "the body is no form") from error
    return dict(pairs)


def _reason(fields: Mapping[str, str]) -> str:
    reason = " ".join(fields.get("reason", "").split())
    if not reason or len(reason) > REASON_CHARS_MAX:
        raise Refused(Refusal.MALFORMED, "the reason is missing or too long", field="reason")
    return reason


def _key(fields: Mapping[str, str]) -> str:
    key = fields.get("key", "")
    if not key or len(key) > KEY_CHARS_MAX or not key.isascii() or not key.isprintable():
        raise Refused(Refusal.MALFORMED, "the form has no key", field="key")
    return key


def _new_key() -> str:
    """What makes two clicks on one form one act."""
    return secrets.token_urlsafe(12)


def _cursor(text: str) -> int:
    # Python refuses to read thousands of digits; sixteen are as many as a place can have.
    is_place = text.isascii() and text.isdigit() and len(text) <= CURSOR_CHARS_MAX
    if not is_place or int(text) > NOW_MS_MAX:
        raise Refused(Refusal.MALFORMED, "is no place in the list", field="before")
    return int(text)


def _back(request: AnyRequest) -> str:
    """The page that a form stands on."""
    params = request.path_params
    if "msisdn" in params:
        return f"{HOME}/subscribers/{quote(str(params['msisdn']), safe='')}"
    if "payment_id" in params:
        return _of_payment(str(params["payment_id"]))
    path = request.url.path.removesuffix("/close")
    return path if path.startswith(f"{HOME}/") and not path.endswith("/logout") else HOME


def _of_number(number: int) -> str:
    return f"{HOME}/subscribers/{number}"


def _of_payment(payment_id: str) -> str:
    return f"{HOME}/payments/{quote(payment_id, safe='')}"


def _national(digits: str) -> str:
    """A subscriber's number as people say it; what is none stays as it is."""
    is_number = digits.isascii() and digits.isdigit() and digits.startswith("84")
    return national(Msisdn(int(digits))) if is_number and len(digits) == 11 else digits
