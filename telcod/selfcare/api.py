"""`/self/v1`: a subscriber's app (SELF-1).  Log in by a code, then do what the texts do.

Who is logged in sees and changes what is his, and nothing else: no route takes a number whose it
is.  What is done is told as `outcome`, the rules' own word, and `text`, what the text's answer
would be; a "no" of the rules is an answer too, not an error.  Doing the same again does nothing.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import Request as HttpRequest
from litestar import Response, delete, get, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, PathParameter, QueryParameter
from litestar.status_codes import HTTP_200_OK, HTTP_202_ACCEPTED
from msgspec import Meta

from telcod.bulk import number_reason
from telcod.errors import Refusal
from telcod.msisdn import Msisdn, NumberError
from telcod.selfcare.door import TOKEN_CHARS_MAX, Door, address_of, no_session
from telcod.types import Channel
from telcod.web.gate import note
from telcod.web.open_routes import OpenOperation
from telcod.web.ports import Backend
from telcod.web.problems import PROBLEMS
from telcod.web.staff_requests import Refused

AnyRequest = HttpRequest[Any, Any, Any]

CURSOR_MAX: Final = 2**53
_Number = Annotated[str, Meta(min_length=1, max_length=40)]


class _Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an app sends; a field that it misspells is told, not dropped."""


class LoginBody(_Said, frozen=True):
    """Whose phone the code goes to."""

    msisdn: _Number


class ConfirmBody(_Said, frozen=True):
    """The code that came by SMS."""

    msisdn: _Number
    code: Annotated[str, Meta(max_length=20)]

    def __repr__(self) -> str:
        return "ConfirmBody(***)"


class PackageBody(_Said, frozen=True):
    """Which package."""

    package: Literal["day", "week"]


class NumberBody(_Said, frozen=True):
    """A number for a list, in any form."""

    number: _Number


class NoticesBody(_Said, frozen=True):
    """Whether to be told of receiver-pays after a call that failed for lack of money."""

    wanted: bool


class LanguageBody(_Said, frozen=True):
    """The language of texts and pages."""

    language: Literal["vi", "en"]


class AnswerBody(_Said, frozen=True):
    """Yes or no."""

    accept: bool


class CodeSent(msgspec.Struct, frozen=True):
    """A code goes to the number by SMS if it is a subscriber's; nobody is told whether it is."""

    digits: int = 6
    good_for_s: int = 300


class Session(msgspec.Struct, frozen=True):
    """Send it as `Authorization: Bearer`; 30 minutes without a call, or 24 hours, end it."""

    token: str
    language: str


class Done(msgspec.Struct, frozen=True):
    """What the rules answered: their word, and the sentence that a text would bring."""

    outcome: str
    text: str


class DialView(Done, frozen=True):
    """`command` is what to dial."""

    command: str = ""


class PackageView(msgspec.Struct, frozen=True):
    """A package that is had; times are Unix milliseconds.  `suspended`: a renewal failed."""

    package: str
    status: str
    trial: bool
    ends_at: int
    failed_since: int
    price_vnd: int


class PackagesView(msgspec.Struct, frozen=True):
    """The package, if any, and what things cost in whole dong."""

    package: PackageView | None
    prices: dict[str, int]
    minute_vnd: int
    text_vnd: int
    trial_free: bool
    eligible: bool


class ListView(msgspec.Struct, frozen=True):
    """A list; a whitelist works with a package only."""

    numbers: tuple[str, ...]
    works: bool
    entries_max: int


class NoticesView(msgspec.Struct, frozen=True):
    """Notices are for prepaid subscribers."""

    wanted: bool
    available: bool


class ChargeView(msgspec.Struct, frozen=True):
    """What was taken: `whom` is who called or wrote; empty for a package."""

    at: int
    kind: str
    whom: str
    amount_vnd: int


class ChargesView(msgspec.Struct, frozen=True):
    """Newest first; `next` goes on as `start` of the next page, 0: nothing is older."""

    charges: tuple[ChargeView, ...]
    next: int


class WaitingView(msgspec.Struct, frozen=True):
    """A text (`kind` text) that somebody wants one to pay for, or a registration (`id` package)."""

    id: str
    kind: str
    caller: str
    price_vnd: int
    parts: int
    expires_at: int


class RequestsView(msgspec.Struct, frozen=True):
    """What waits for a yes or no."""

    requests: tuple[WaitingView, ...]


class AccountView(msgspec.Struct, frozen=True):
    """Whose session it is.  `spent_vnd` is this month's; at least that, if not `spent_whole`."""

    msisdn: str
    kind: str
    state: str
    language: str
    balance_vnd: int
    spent_vnd: int
    spent_whole: bool


class LanguageView(msgspec.Struct, frozen=True):
    """The language of texts and pages."""

    language: str


ListName = Annotated[Literal["white", "black"], PathParameter(description="Which list.")]
AnyNumber = Annotated[str, PathParameter(description="A number in any form.", max_length=40)]
WaitingId = Annotated[
    str, PathParameter(description="As it was listed.", pattern=r"^[A-Za-z0-9]{1,16}\Z")
]

_COMMON: Final[dict[str, Any]] = {"tags": ["self"], "responses": PROBLEMS}
_POST: Final[dict[str, Any]] = {**_COMMON, "status_code": HTTP_200_OK}
# Who logs in has no token yet.
_OPEN: Final[dict[str, Any]] = {**_COMMON, "operation_class": OpenOperation}
_NOT_STORED: Final = {"Cache-Control": "no-store"}
_APP: Final = Channel.APP


def routes(backend: Backend, door: Door) -> tuple[HTTPRouteHandler, ...]:
    """All routes of the app."""
    return (*_logins(backend, door), *_actions(backend, door), *_views(door))


def _logins(backend: Backend, door: Door) -> tuple[HTTPRouteHandler, ...]:
    @post("/self/v1/login", summary="Have a code sent", status_code=HTTP_202_ACCEPTED, **_OPEN)
    async def login(request: AnyRequest, data: JSONBody[LoginBody]) -> CodeSent:
        """A 6-digit code by SMS, good for 5 minutes; 5 an hour at most.  The answer is the same
        whoever's number it is.
        """
        number = number_of(backend, data.msisdn, "msisdn")
        await door.ask_code(number, channel=_APP, address=caller_address(request))
        return CodeSent()

    @post(
        "/self/v1/login/confirm",
        summary="Log in with the code",
        status_code=HTTP_200_OK,
        **_OPEN,
    )
    async def confirm(request: AnyRequest, data: JSONBody[ConfirmBody]) -> Response[Session]:
        """After 5 wrong codes not even the right one opens anything: have another one sent."""
        number = number_of(backend, data.msisdn, "msisdn")
        opened = await door.confirm(
            number, data.code, channel=_APP, address=caller_address(request)
        )
        if opened is None:
            raise wrong_code()
        return Response(Session(opened.token, opened.language), headers=_NOT_STORED)

    @post("/self/v1/logout", summary="Log out", **_POST)
    async def logout(request: AnyRequest) -> Done:
        """The token opens nothing from now on; again is fine."""
        await door.logout(token_of(request), channel=_APP)
        return Done("self.logged_out", "")

    return (login, confirm, logout)


def _actions(backend: Backend, door: Door) -> tuple[HTTPRouteHandler, ...]:
    async def do(request: AnyRequest, route: str, *words: str) -> Response[Done]:
        said = await door.do(token_of(request), route, *words, channel=_APP)
        note(request.scope, outcome=said["outcome"])
        return Response(Done(said["outcome"], said["text"]), headers=_NOT_STORED)

    @post("/self/v1/package", summary="Register a package", **_POST)
    async def register(request: AnyRequest, data: JSONBody[PackageBody]) -> Response[Done]:
        """As DK and DK7 do; the same package again changes and costs nothing."""
        return await do(request, f"package.register_{data.package}")

    @delete("/self/v1/package", summary="Cancel the package", **_POST)
    async def cancel(request: AnyRequest) -> Response[Done]:
        """As HUY does."""
        return await do(request, "package.cancel")

    @post("/self/v1/lists/{kind:str}", summary="Put a number on a list", **_POST)
    async def add(
        request: AnyRequest, kind: ListName, data: JSONBody[NumberBody]
    ) -> Response[Done]:
        """As B and W do: it goes off the other list."""
        number = number_of(backend, data.number, "number")
        return await do(request, f"list.{kind}_add", str(number))

    @delete("/self/v1/lists/{kind:str}/{number:str}", summary="Take a number off", **_POST)
    async def remove(request: AnyRequest, kind: ListName, number: AnyNumber) -> Response[Done]:
        """As XOAB and XOAW do."""
        canonical = number_of(backend, number, "number")
        return await do(request, f"list.{kind}_remove", str(canonical))

    @delete("/self/v1/lists/{kind:str}", summary="Empty a list", **_POST)
    async def clear(request: AnyRequest, kind: ListName) -> Response[Done]:
        """As XOAB ALL and XOAW ALL do."""
        return await do(request, f"list.{kind}_remove", "ALL")

    @put("/self/v1/notices", summary="Stop or resume notices", **_POST)
    async def set_notices(request: AnyRequest, data: JSONBody[NoticesBody]) -> Response[Done]:
        """As TC and ON do."""
        return await do(request, "notices.resume" if data.wanted else "notices.stop")

    @put("/self/v1/language", summary="Choose the language", **_POST)
    async def set_language(request: AnyRequest, data: JSONBody[LanguageBody]) -> Response[Done]:
        """As NN VI and NN EN do."""
        return await do(request, "language.set", data.language.upper())

    @post("/self/v1/requests/{waiting:str}", summary="Accept or refuse", **_POST)
    async def answer(
        request: AnyRequest, waiting: WaitingId, data: JSONBody[AnswerBody]
    ) -> Response[Done]:
        """As Y and N do, with the code of a text or, for `package`, without one."""
        words = () if waiting == "package" else (waiting,)
        return await do(request, "confirm.yes" if data.accept else "confirm.no", *words)

    @get("/self/v1/dial/{number:str}", summary="What to dial", **_COMMON)
    async def dial(request: AnyRequest, number: AnyNumber) -> Response[DialView]:
        """For a call that the other one pays for."""
        canonical = number_of(backend, number, "number")
        said = await door.do(token_of(request), "dial.guide", str(canonical), channel=_APP)
        return Response(DialView(**said), headers=_NOT_STORED)

    return (register, cancel, add, remove, clear, set_notices, set_language, answer, dial)


def _views(door: Door) -> tuple[HTTPRouteHandler, ...]:
    async def part(request: AnyRequest, name: str, shape: Any, start: int = 0) -> Response[Any]:
        shown = await door.show(token_of(request), name, start, channel=_APP)
        return Response(msgspec.convert(shown, shape), headers=_NOT_STORED)

    @get("/self/v1/account", summary="Whose session it is", **_COMMON)
    async def account(request: AnyRequest) -> Response[AccountView]:
        """Balance, state, and what was paid this month."""
        return await part(request, "account", AccountView)

    @get("/self/v1/package", summary="The package", **_COMMON)
    async def package(request: AnyRequest) -> Response[PackagesView]:
        """And what packages cost."""
        return await part(request, "package", PackagesView)

    @get("/self/v1/lists/{kind:str}", summary="A list", **_COMMON)
    async def list_shown(request: AnyRequest, kind: ListName) -> Response[ListView]:
        """What KT B and KT W tell."""
        both = await door.show(token_of(request), "lists", channel=_APP)
        works = both["white_works"] if kind == "white" else True
        view = ListView(tuple(both[kind]), works, both["entries_max"])
        return Response(view, headers=_NOT_STORED)

    @get("/self/v1/notices", summary="Whether notices come", **_COMMON)
    async def notices(request: AnyRequest) -> Response[NoticesView]:
        """After one's own call that failed for lack of money."""
        return await part(request, "notices", NoticesView)

    @get("/self/v1/charges", summary="What was paid", **_COMMON)
    async def charges(
        request: AnyRequest, start: Annotated[int, QueryParameter(ge=0, le=CURSOR_MAX)] = 0
    ) -> Response[ChargesView]:
        """When, for what, for whom, how much; newest first, in pages."""
        return await part(request, "charges", ChargesView, start)

    @get("/self/v1/requests", summary="What waits for an answer", **_COMMON)
    async def requests(request: AnyRequest) -> Response[RequestsView]:
        """Texts that others want one to pay for."""
        return await part(request, "requests", RequestsView)

    @get("/self/v1/language", summary="The language", **_COMMON)
    async def language(request: AnyRequest) -> Response[LanguageView]:
        """Of texts and pages."""
        return await part(request, "account", LanguageView)

    return (account, package, list_shown, notices, charges, requests, language)


def number_of(backend: Backend, text: str, field: str) -> Msisdn:
    """A number in any form.

    Raises:
        Refused: It is none.
    """
    number = backend.parse_number(text)
    if isinstance(number, NumberError):
        raise Refused(Refusal.MALFORMED, number_reason(text, number), field=field)
    return number


def caller_address(request: AnyRequest) -> str:
    """Whom to limit before anybody is logged in."""
    client = request.client
    return address_of(client.host if client else "", request.headers.get("x-forwarded-for", ""))


def token_of(request: AnyRequest) -> str:
    """The bearer token of a session.

    Raises:
        Refused: There is none.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip() or len(token) > TOKEN_CHARS_MAX:
        raise no_session()
    return token.strip()


def wrong_code() -> Refused:
    """One answer to a wrong code, one that is over, and one that nobody asked for."""
    return Refused(
        Refusal.NOT_AUTHENTICATED,
        "the code is not right, or no longer",
        what_to_do="Check it; after 5 wrong ones or 5 minutes have another one sent.",
        members={"code": "self.wrong_code"},
    )
