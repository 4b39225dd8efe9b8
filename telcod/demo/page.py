"""The routes of the demo's page: the page, its events, and what somebody does on a phone (DEMO-1).

For this machine only: it asks for nobody's name, so it answers to no host but loopback (a page from
elsewhere can't reach it under a name of its own), and takes orders from its own page only.
"""

import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from litestar import Litestar, Request, Response, get, post
from litestar.datastructures import CacheControlHeader, Cookie
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody
from litestar.response import Stream
from litestar.static_files import create_static_files_router
from litestar.status_codes import HTTP_204_NO_CONTENT
from msgspec import Meta

from telcod.demo.listeners import encoded
from telcod.demo.people import PASSWORD, PHONES
from telcod.demo.phone import Phone
from telcod.demo.play import Play, Refused
from telcod.demo.stage import STAFF, Stage
from telcod.msisdn import Msisdn, national
from telcod.simulator.card_gateway_cards import GOOD_CARD, GOOD_DOMESTIC_CARD, OTP
from telcod.web import static_files
from telcod.web.page_guard import page_headers
from telcod.web.pages import LANGUAGE_COOKIE, LANGUAGE_KEPT_S, Pages, choose_language

FOLDER: Final = Path(__file__).parent
HOME: Final = "/"
HOSTS: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
BODY_BYTES_MAX: Final = 16 * 1024
_HOST: Final = re.compile(r"(\[[0-9a-f:]+\]|[^:]*)(:[0-9]+)?\Z")
_JSON: Final = "application/json"

AnyRequest = Request[Any, Any, Any]


class TextBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text to a number."""

    to: Annotated[str, Meta(pattern=r"^[0-9]{3,20}\Z")]
    text: Annotated[str, Meta(max_length=2_000)]


class DialBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was dialled."""

    number: Annotated[str, Meta(pattern=r"^[0-9*#+]{1,40}\Z")]


class TypedBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was typed under a screen."""

    text: Annotated[str, Meta(max_length=182)]


class ActBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was done in a call."""

    what: Annotated[str, Meta(max_length=16)]


class _Everything(msgspec.Struct, frozen=True):
    """What a browser gets first."""

    phones: tuple[Any, ...]
    lines: tuple[Any, ...]
    books: Any


def make_app(play: Play, stage: Stage) -> Litestar:
    """The application of the page."""
    pages = Pages(FOLDER / "templates", FOLDER / "words", home=HOME)
    return Litestar(
        route_handlers=[
            *_shown(play, stage, pages),
            *_done(play),
            *static_files.ROUTES,
            create_static_files_router(
                "/demo",
                [FOLDER / "static"],
                cache_control=CacheControlHeader(no_cache=True),
                include_in_schema=False,
            ),
        ],
        before_request=_own_only,
        exception_handlers={Refused: _refused},
        request_max_body_size=BODY_BYTES_MAX,
        openapi_config=None,
        logging_config=None,
        debug=False,
    )


def _own_only(request: AnyRequest) -> None:
    """
    Raises:
        HTTPException: Another host is meant, or another page sends.
    """
    found = _HOST.match(request.headers.get("host", "").lower())
    if found is None or found[1] not in HOSTS:
        raise HTTPException("this page is for this machine only", status_code=421)
    if request.method != "POST":
        return
    came_from = request.headers.get("sec-fetch-site", "none")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    # A page from elsewhere can send a form, but JSON only where it was let to.
    if came_from not in {"same-origin", "none"} or kind != _JSON:
        raise HTTPException("only the page itself may ask this", status_code=403)


def _refused(_: AnyRequest, error: Refused) -> Response[dict[str, str]]:
    return Response({"code": error.code}, status_code=409)


def _shown(play: Play, stage: Stage, pages: Pages) -> Sequence[HTTPRouteHandler]:
    @get(HOME, media_type="text/html", sync_to_thread=False)
    def page(request: AnyRequest) -> Response[str]:
        """The page, in the language of who looks at it."""
        asked = str(request.query_params.get("lang", ""))
        kept = request.cookies.get(LANGUAGE_COOKIE, "")
        language = choose_language(asked, kept, request.headers.get("accept-language", ""))
        html = pages.render(
            "demo.html",
            language,
            path=HOME,
            people=PHONES,
            national=lambda number: national(Msisdn(number)),
            words=dict(pages.words[language]),
            site=stage.url,
            staff=[(name, stage.tokens[name]) for name in STAFF],
            password=PASSWORD,
            good_card=_groups(GOOD_CARD),
            domestic_card=_groups(GOOD_DOMESTIC_CARD),
            otp=OTP,
        )
        cookies = [Cookie(LANGUAGE_COOKIE, language.value, max_age=LANGUAGE_KEPT_S, samesite="lax")]
        return Response(html, headers=page_headers(secure=False), cookies=cookies if asked else [])

    @get("/events", sync_to_thread=False)
    def events() -> Stream:
        """Everything as it is, then every change."""

        def everything() -> bytes:
            phones = tuple(phone.view() for phone in play.phones.values())
            lines = tuple(play.story.lines)
            return encoded("everything", _Everything(phones, lines, play.story.books))

        async def stream() -> AsyncIterator[bytes]:
            async for told in play.listeners.stream(everything):
                yield told

        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return Stream(stream(), media_type="text/event-stream", headers=headers)

    return page, events


def _done(play: Play) -> Sequence[HTTPRouteHandler]:
    def phone_of(name: str) -> Phone:
        if name not in play.phones:
            raise HTTPException("there is no such phone", status_code=404)
        return play.phones[name]

    @post("/phones/{name:str}/text", status_code=HTTP_204_NO_CONTENT)
    async def send_text(name: FromPath[str], data: JSONBody[TextBody]) -> None:
        await play.send_text(phone_of(name), data.to, data.text)

    @post("/phones/{name:str}/dial", status_code=HTTP_204_NO_CONTENT)
    async def dial(name: FromPath[str], data: JSONBody[DialBody]) -> None:
        await play.dial(phone_of(name), data.number)

    @post("/phones/{name:str}/screen", status_code=HTTP_204_NO_CONTENT)
    async def type_ussd(name: FromPath[str], data: JSONBody[TypedBody]) -> None:
        await play.type_ussd(phone_of(name), data.text)

    @post("/phones/{name:str}/screen/close", status_code=HTTP_204_NO_CONTENT)
    async def close_ussd(name: FromPath[str]) -> None:
        await play.close_ussd(phone_of(name))

    @post("/phones/{name:str}/call", status_code=HTTP_204_NO_CONTENT, sync_to_thread=False)
    def act(name: FromPath[str], data: JSONBody[ActBody]) -> None:
        play.act(phone_of(name), data.what)

    return send_text, dial, type_ussd, close_ussd, act


def _groups(digits: str) -> str:
    return " ".join(digits[at : at + 4] for at in range(0, len(digits), 4))
