"""`/me`: the site of subscribers, phone first, without scripts (SELF-1).

A session is a cookie that no script reads and no other site sends; a form that comes from elsewhere
is refused besides.  What costs money is asked again on a page of its own, which names the price.
After each act the browser is sent on, so that going back or reloading repeats nothing.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from litestar import Request as HttpRequest
from litestar import Response, get, post
from litestar.datastructures import Cookie
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.status_codes import (
    HTTP_200_OK,
    HTTP_303_SEE_OTHER,
    HTTP_401_UNAUTHORIZED,
)

from telcod.errors import Refusal
from telcod.msisdn import Msisdn, NumberError
from telcod.selfcare.api import CURSOR_MAX, caller_address
from telcod.selfcare.door import Door
from telcod.selfcare.pages import HOME, SelfPages
from telcod.types import Channel, Language
from telcod.web.gate import note
from telcod.web.page_guard import page_headers
from telcod.web.pages import LANGUAGE_COOKIE, LANGUAGE_KEPT_S, choose_language
from telcod.web.ports import Backend
from telcod.web.problems import problem_of
from telcod.web.staff_requests import Refused, refusal_or_none

AnyRequest = HttpRequest[Any, Any, Any]
Page = Response[Any]

SESSION_COOKIE: Final = "telcod_me"
SESSION_S: Final = 24 * 3_600
CURSOR_CHARS_MAX: Final = 16
FIELDS_MAX: Final = 16
KINDS: Final = ("white", "black")
PACKAGES: Final = ("day", "week")
_WEB: Final = Channel.WEB


class Site:
    """The pages; knows what a browser sends, and what it is shown."""

    def __init__(self, backend: Backend, door: Door, pages: SelfPages) -> None:
        self.backend: Final = backend
        self.door: Final = door
        self.pages: Final = pages

    def page(
        self, request: AnyRequest, template: str, *, status: int = HTTP_200_OK, **values: Any
    ) -> Page:
        """A page in the language of who looks at it."""
        html = self.pages.render(
            template,
            language_of(request),
            path=request.url.path,
            **{"said": "", "logged_in": SESSION_COOKIE in request.cookies, **values},
        )
        headers = page_headers(secure=is_https(request))
        return Response(html, media_type="text/html", status_code=status, headers=headers)

    async def own(
        self, request: AnyRequest, template: str, part: str, start: int = 0, **values: Any
    ) -> Page:
        """A page of who is logged in, with a part of what the books hold."""
        shown = await self.door.show(session_of(request), part, start, channel=_WEB)
        return self.page(request, template, me=shown, **values)

    async def do(self, request: AnyRequest, path: str, route: str, *words: str) -> Page:
        """Do what a text would, and go on to a page that says what came of it."""
        checked_origin(request)
        said = await self.door.do(session_of(request), route, *words, channel=_WEB)
        outcome = str(said["outcome"])
        note(request.scope, outcome=outcome)
        return onward(path, said=outcome)

    def said(self, request: AnyRequest) -> str:
        """What came of the last act, in words; only words of ours are ever shown."""
        outcome = request.query_params.get("said", "")
        if not outcome:
            return ""
        language, key = language_of(request), f"said.{outcome}"
        return self.pages.say(language, key if self.pages.has(language, key) else "said.other")

    def number(self, text: str) -> Msisdn | None:
        """A number in any form; None when it is none."""
        number = self.backend.parse_number(text[:40])
        return None if isinstance(number, NumberError) else number

    def wrong(self, request: AnyRequest, error: Exception) -> Page:
        """What went wrong, as a page; nobody logged in: the page to do so."""
        refusal = refusal_or_none(error)
        if refusal is Refusal.NOT_AUTHENTICATED:
            gone = onward("/me/login", said="over" if SESSION_COOKIE in request.cookies else "")
            gone.delete_cookie(SESSION_COOKIE, path=HOME)
            return gone
        problem, wait_s = problem_of(error)
        key = f"wrong.{problem.status}"
        if not self.pages.has(language_of(request), key):
            key = "wrong.other"
        page = self.page(request, "wrong", status=problem.status, key=key)
        if wait_s:
            page.headers["Retry-After"] = str(wait_s)
        return page


def routes(backend: Backend, door: Door, pages: SelfPages) -> tuple[HTTPRouteHandler, ...]:
    """All routes of the site."""
    site = Site(backend, door, pages)

    def wrong(request: AnyRequest, error: Exception) -> Page:
        return site.wrong(request, error)  # a function: the framework copies what it is given

    common: dict[str, Any] = {
        "include_in_schema": False,
        "exception_handlers": {Exception: wrong},
    }
    posted = {**common, "status_code": HTTP_200_OK}
    return (
        *_login(site, common, posted),
        *_tools(site, posted),
        *_home(site, common, posted),
        *_package(site, common, posted),
        *_lists(site, common, posted),
        *_requests(site, common, posted),
    )


def _login(
    site: Site, common: dict[str, Any], posted: dict[str, Any]
) -> tuple[HTTPRouteHandler, ...]:
    @get("/me/login", **common)
    async def login_page(request: AnyRequest) -> Page:
        return site.page(request, "login", typed="", problem="", said=site.said(request))

    @post("/me/login", **posted)
    async def ask_code(request: AnyRequest) -> Page:
        checked_origin(request)
        typed = (await fields_of(request)).get("msisdn", "")
        number = site.number(typed)
        if number is None:
            return site.page(request, "login", typed=typed[:40], problem="login.bad_number")
        await site.door.ask_code(number, channel=_WEB, address=caller_address(request))
        return site.page(request, "code", number=str(number), problem="")

    @post("/me/code", **posted)
    async def confirm(request: AnyRequest) -> Page:
        checked_origin(request)
        fields = await fields_of(request)
        number = site.number(fields.get("msisdn", ""))
        if number is None:
            return onward("/me/login")
        opened = await site.door.confirm(
            number, fields.get("code", "")[:20], channel=_WEB, address=caller_address(request)
        )
        if opened is None:
            return site.page(
                request,
                "code",
                status=HTTP_401_UNAUTHORIZED,
                number=str(number),
                problem="code.wrong",
            )
        page = onward("/me")
        page.set_cookie(_session_cookie(request, opened.token))
        page.set_cookie(_language_cookie(request, opened.language))
        return page

    return (login_page, ask_code, confirm)


def _tools(site: Site, posted: dict[str, Any]) -> tuple[HTTPRouteHandler, ...]:
    @post("/me/logout", **posted)
    async def logout(request: AnyRequest) -> Page:
        checked_origin(request)
        await site.door.logout(request.cookies.get(SESSION_COOKIE, ""), channel=_WEB)
        page = onward("/me/login", said="logged_out")
        page.delete_cookie(SESSION_COOKIE, path=HOME)
        return page

    @post("/me/language", **posted)
    async def language(request: AnyRequest) -> Page:
        """The pages' language; of who is logged in also that of his texts."""
        checked_origin(request)
        chosen = (await fields_of(request)).get("language", "")
        if chosen not in set(Language):
            raise Refused(Refusal.MALFORMED, "no such language", field="language")
        page = onward("/me/login")
        if SESSION_COOKIE in request.cookies:
            page = await site.do(request, "/me", "language.set", chosen.upper())
        page.set_cookie(_language_cookie(request, chosen))
        return page

    return (logout, language)


def _home(
    site: Site, common: dict[str, Any], posted: dict[str, Any]
) -> tuple[HTTPRouteHandler, ...]:
    @get("/me", **common)
    async def home(request: AnyRequest) -> Page:
        return await site.own(request, "home", "home", said=site.said(request))

    @get("/me/charges", **common)
    async def charges(request: AnyRequest) -> Page:
        start = request.query_params.get("start", "0")
        # Python refuses to read thousands of digits; sixteen are as many as a place can have.
        is_place = start.isascii() and start.isdigit() and len(start) <= CURSOR_CHARS_MAX
        if not is_place or int(start) > CURSOR_MAX:
            raise Refused(Refusal.MALFORMED, "is no place in the list", field="start")
        return await site.own(request, "charges", "charges", int(start), older=start != "0")

    @post("/me/notices", **posted)
    async def notices(request: AnyRequest) -> Page:
        wanted = (await fields_of(request)).get("wanted", "")
        return await site.do(request, "/me", f"notices.{'resume' if wanted == '1' else 'stop'}")

    @get("/me/dial", **common)
    async def dial(request: AnyRequest) -> Page:
        """What to dial for a call that the other one pays for."""
        typed = request.query_params.get("number", "")
        number = site.number(typed)
        command, problem = "", "" if number is not None or not typed else "number.bad"
        if number is not None:
            words = (str(number),)
            said = await site.door.do(session_of(request), "dial.guide", *words, channel=_WEB)
            command = str(said.get("command", ""))
        return await site.own(
            request, "dial", "account", typed=typed[:40], command=command, problem=problem
        )

    return (home, charges, notices, dial)


def _package(
    site: Site, common: dict[str, Any], posted: dict[str, Any]
) -> tuple[HTTPRouteHandler, ...]:
    @get("/me/package/{name:str}", **common)
    async def sure(request: AnyRequest, name: FromPath[str]) -> Page:
        """What it costs, before it is done."""
        if name not in {*PACKAGES, "cancel"}:
            raise Refused(Refusal.NOT_FOUND, "there is no such package")
        return await site.own(request, "package", "package", name=name)

    @post("/me/package/{name:str}", **posted)
    async def change(request: AnyRequest, name: FromPath[str]) -> Page:
        if name not in {*PACKAGES, "cancel"}:
            raise Refused(Refusal.NOT_FOUND, "there is no such package")
        route = "package.cancel" if name == "cancel" else f"package.register_{name}"
        return await site.do(request, "/me", route)

    return (sure, change)


def _lists(
    site: Site, common: dict[str, Any], posted: dict[str, Any]
) -> tuple[HTTPRouteHandler, ...]:
    @get("/me/lists/{kind:str}", **common)
    async def shown(request: AnyRequest, kind: FromPath[str]) -> Page:
        said = site.said(request)
        return await site.own(
            request, "list", "lists", kind=_kind(kind), typed="", problem="", said=said
        )

    @post("/me/lists/{kind:str}", **posted)
    async def add(request: AnyRequest, kind: FromPath[str]) -> Page:
        """A number for the whitelist is asked for again: from then on it costs without asking."""
        checked_origin(request)
        fields = await fields_of(request)
        typed = fields.get("number", "")
        number = site.number(typed)
        if number is None:
            return await site.own(
                request, "list", "lists", kind=_kind(kind), typed=typed[:40], problem="number.bad"
            )
        if kind == "white" and fields.get("sure") != "1":
            return await site.own(request, "white", "package", number=str(number))
        return await site.do(
            request, f"/me/lists/{_kind(kind)}", f"list.{_kind(kind)}_add", str(number)
        )

    @post("/me/lists/{kind:str}/remove", **posted)
    async def remove(request: AnyRequest, kind: FromPath[str]) -> Page:
        number = site.number((await fields_of(request)).get("number", ""))
        if number is None:
            raise Refused(Refusal.MALFORMED, "is no number", field="number")
        words = (str(number),)
        return await site.do(request, f"/me/lists/{_kind(kind)}", f"list.{kind}_remove", *words)

    @post("/me/lists/{kind:str}/clear", **posted)
    async def clear(request: AnyRequest, kind: FromPath[str]) -> Page:
        checked_origin(request)
        if (await fields_of(request)).get("sure") != "1":
            return await site.own(request, "clear", "lists", kind=_kind(kind))
        return await site.do(request, f"/me/lists/{_kind(kind)}", f"list.{kind}_remove", "ALL")

    return (shown, add, remove, clear)


def _requests(
    site: Site, common: dict[str, Any], posted: dict[str, Any]
) -> tuple[HTTPRouteHandler, ...]:
    @get("/me/requests/{waiting:str}", **common)
    async def shown(request: AnyRequest, waiting: FromPath[str]) -> Page:
        """One that waits, with its price; one that does not, or is another's, is not there."""
        all_of_them = await site.door.show(session_of(request), "requests", channel=_WEB)
        found = [each for each in all_of_them["requests"] if each["id"] == waiting]
        if not found:
            return onward("/me", said="forward.code_unknown")
        return site.page(request, "request", asked=found[0])

    @post("/me/requests/{waiting:str}", **posted)
    async def answer(request: AnyRequest, waiting: FromPath[str]) -> Page:
        accepts = (await fields_of(request)).get("accept") == "1"
        words = () if waiting == "package" else (waiting[:16],)
        return await site.do(request, "/me", "confirm.yes" if accepts else "confirm.no", *words)

    return (shown, answer)


def onward(path: str, **query: str) -> Page:
    """Send the browser on to a page of ours."""
    asked = urlencode({name: value for name, value in query.items() if value})
    headers = {"Cache-Control": "no-store", "Location": f"{path}?{asked}" if asked else path}
    return Response(b"", media_type="text/html", status_code=HTTP_303_SEE_OTHER, headers=headers)


def session_of(request: AnyRequest) -> str:
    """The token of the session, from its cookie; none is refused by whom it is shown to."""
    return request.cookies.get(SESSION_COOKIE, "")


def language_of(request: AnyRequest) -> Language:
    """What was chosen, else what the browser prefers, else Vietnamese."""
    return choose_language(
        "", request.cookies.get(LANGUAGE_COOKIE, ""), request.headers.get("accept-language", "")
    )


async def fields_of(request: AnyRequest) -> Mapping[str, str]:
    """The fields of a posted form.

    Raises:
        Refused: It is no form.
    """
    try:
        pairs = parse_qsl((await request.body()).decode(), max_num_fields=FIELDS_MAX)
    except ValueError as error:
        raise Refused(Refusal.MALFORMED, "the body is no form") from error
    return dict(pairs)


def checked_origin(request: AnyRequest) -> None:
    """Only our own pages may change anything.

    The session's cookie is not sent from elsewhere (SameSite=Strict); this is said by the browser
    besides, and counts for who is not logged in yet, too.

    Raises:
        Refused: The form is another site's, or nobody says whose.
    """
    origin = request.headers.get("origin") or request.headers.get("referer") or ""
    if urlsplit(origin).netloc != request.headers.get("host", "") or not origin:
        raise Refused(Refusal.NOT_PERMITTED, "this form is not from here")


def _session_cookie(request: AnyRequest, token: str) -> Cookie:
    return Cookie(
        key=SESSION_COOKIE,
        value=token,
        path=HOME,
        max_age=SESSION_S,
        httponly=True,
        secure=is_https(request),
        samesite="strict",
    )


def _language_cookie(request: AnyRequest, language: str) -> Cookie:
    return Cookie(
        key=LANGUAGE_COOKIE,
        value=language,
        path="/",
        max_age=LANGUAGE_KEPT_S,
        httponly=True,
        secure=is_https(request),
        samesite="lax",
    )


def is_https(request: AnyRequest) -> bool:
    """Whether the browser speaks https, with us or with a proxy before us.

    Who pretends that it does only keeps his own cookies safer.
    """
    return "https" in {request.url.scheme, request.headers.get("x-forwarded-proto", "")}


def _kind(name: str) -> str:
    if name not in KINDS:
        raise Refused(Refusal.NOT_FOUND, "there is no such list")
    return name
