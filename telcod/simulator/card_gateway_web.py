"""The simulated gateway's HTTP: API, hosted pages, the day's file, control.  Plain ASGI.

A route gets what was asked and gives what to answer; the gateway behind it decides.
"""

import hmac
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, Literal, NamedTuple, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from telcod.simulator import card_gateway_cards as cards
from telcod.simulator import card_gateway_pages as pages
from telcod.simulator.card_gateway_behaviour import Behaviour
from telcod.simulator.card_gateway_book import Held, Refused, Stage, told

BODY_BYTES_MAX: Final = 16 * 1024
HTML: Final = "text/html; charset=utf-8"
JSON: Final = "application/json"
_EXPIRY: Final = re.compile(r"(0[1-9]|1[0-2])/?[0-9]{2}", re.ASCII)
_CVV: Final = re.compile(r"[0-9]{3,4}", re.ASCII)
_DAY: Final = re.compile(r"([0-9]{8})\.csv", re.ASCII)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Asked(NamedTuple):
    """A request; `path` in parts, `query` the last value of each name."""

    method: str
    path: tuple[str, ...]
    query: dict[str, str]
    authorization: str
    body: bytes

    @property
    def language(self) -> str:
        """Of the pages; Vietnamese unless English is asked for."""
        return "en" if self.query.get("lang") == "en" else "vi"

    def form(self) -> dict[str, str]:
        """The fields of a posted form."""
        parsed = parse_qs(self.body.decode(errors="replace"), max_num_fields=20)
        return {name: values[-1].strip() for name, values in parsed.items()}


class Told(NamedTuple):
    """An answer."""

    status: int
    body: bytes
    kind: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


class Order(msgspec.Struct, frozen=True):
    """What an order holds; `language` is the page's first."""

    amount_vnd: int
    card: str
    return_url: str
    open_s: int
    language: Literal["vi", "en"] = "vi"


class Typed(msgspec.Struct, frozen=True):
    """A card for the control API to pay with, and the OTP of a domestic one."""

    number: str = ""
    otp: str = cards.OTP


class Notice(msgspec.Struct, frozen=True):
    """A notification that the control API wants sent, whatever became of the payment."""

    result: str
    amount_vnd: int | None = None
    code: str = "control"


class Gateway(Protocol):
    """What the routes ask of the gateway."""

    @property
    def url(self) -> str: ...

    @property
    def secret(self) -> str: ...

    @property
    def behaviour(self) -> Behaviour: ...

    def behave(self, behaviour: Behaviour) -> None: ...

    async def order(self, payment_id: str, order: Order) -> Held: ...

    async def void(self, payment_id: str) -> Held: ...

    def find(self, payment_id: str) -> Held: ...

    def find_ref(self, ref: str) -> Held: ...

    async def type_card(self, held: Held, digits: str, bank: str) -> Held: ...

    async def type_otp(self, held: Held, typed: str) -> Held: ...

    async def give_up(self, held: Held) -> Held: ...

    async def pay(self, payment_id: str, number: str = "", otp: str = "") -> Held: ...

    def notify(
        self, payment_id: str, result: str, *, amount_vnd: int | None = None, code: str = ""
    ) -> str: ...

    def day_file(self, day: int) -> str: ...


async def read(scope: Message, receive: Receive) -> Asked | None:
    """The request; None when who asked has gone, or sends more than anybody needs."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > BODY_BYTES_MAX:
            return None
        if not message.get("more_body"):
            break
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    query = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=20)
    return Asked(
        scope["method"],
        tuple(unquote(part) for part in scope["path"].strip("/").split("/")),
        {name: values[-1] for name, values in query.items()},
        headers.get(b"authorization", ""),
        body,
    )


async def answer(gateway: Gateway, asked: Asked) -> Told:
    """What to answer; never raises for what somebody sent."""
    try:
        if asked.path[0] in {"v1", "files", "control"}:
            return await _behind_secret(gateway, asked)
        return await _open(gateway, asked)
    except Refused as error:
        if asked.path[0] == "pay":
            return _html(pages.gone_page(asked.language), 404)
        return _json({"code": error.code}, error.status)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _json({"code": "malformed"}, 400)


async def send(told_: Told, sender: Send) -> None:
    """Write an answer."""
    headers = [
        ("content-type", told_.kind),
        ("content-length", str(len(told_.body))),
        ("cache-control", "no-store"),
        *told_.headers,
    ]
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    await sender({"type": "http.response.start", "status": told_.status, "headers": raw})
    await sender({"type": "http.response.body", "body": told_.body})


async def _behind_secret(gateway: Gateway, asked: Asked) -> Told:
    wanted = f"Bearer {gateway.secret}".encode()
    if not hmac.compare_digest(asked.authorization.encode(errors="replace"), wanted):
        return _json({"code": "not_authenticated"}, 401)
    match asked.method, *asked.path:
        case "PUT", "v1", "payments", payment_id:
            order = msgspec.json.decode(asked.body, type=Order)
            held = await gateway.order(payment_id, order)
            page = f"{gateway.url}/pay/{held.ref}?lang={order.language}"
            return _json({"gateway_ref": held.ref, "redirect_url": page}, 201)
        case "GET", "v1", "payments", payment_id:
            return _json(told(gateway.find(payment_id)))
        case "POST", "v1", "payments", payment_id, "void":
            held = await gateway.void(payment_id)
            return _json({"voided": True, "payment_id": held.payment_id})
        case "GET", "files", name if day := _DAY.fullmatch(name):
            return Told(200, gateway.day_file(int(day[1])).encode(), "text/csv; charset=utf-8")
        case "GET", "control", "behaviour":
            return _json(gateway.behaviour)
        case "PUT", "control", "behaviour":
            gateway.behave(msgspec.json.decode(asked.body, type=Behaviour))
            return _json(gateway.behaviour)
        case "POST", "control", "payments", payment_id, "pay":
            typed = msgspec.json.decode(asked.body or b"{}", type=Typed)
            return _json(told(await gateway.pay(payment_id, typed.number, typed.otp)))
        case "POST", "control", "payments", payment_id, "notify":
            notice = msgspec.json.decode(asked.body, type=Notice)
            sent = gateway.notify(
                payment_id, notice.result, amount_vnd=notice.amount_vnd, code=notice.code
            )
            return _json({"notification_id": sent})
        case _:
            return _json({"code": "nothing_here"}, 404)


async def _open(gateway: Gateway, asked: Asked) -> Told:
    match asked.method, *asked.path:
        case "GET", "style.css":
            return Told(200, pages.STYLE.encode(), "text/css; charset=utf-8", _SAFE)
        case "GET", "pay", ref:
            held = gateway.find_ref(ref)
            return _html(pages.page_of(held, asked.language), held=held)
        case "POST", "pay", ref:
            return await _card(gateway, asked, gateway.find_ref(ref))
        case "POST", "pay", ref, "otp":
            held = await gateway.type_otp(gateway.find_ref(ref), asked.form().get("otp", ""))
            return _next(held, asked.language)
        case "POST", "pay", ref, "cancel":
            return _next(await gateway.give_up(gateway.find_ref(ref)), asked.language)
        case _:
            return _html(pages.gone_page(asked.language), 404)


async def _card(gateway: Gateway, asked: Asked, held: Held) -> Told:
    """A card was typed: back to the page if it can be none."""
    if held.stage is not Stage.OPEN:
        return _next(held, asked.language)
    form = asked.form()
    digits, bank = cards.digits_of(form.get("number", "")), form.get("bank", "")
    problem = _problem(held, form, digits, bank)
    if problem:
        return _html(pages.card_page(held, asked.language, problem), 422, held)
    return _next(await gateway.type_card(held, digits, bank), asked.language)


def _problem(held: Held, form: dict[str, str], digits: str, bank: str) -> str:
    if not cards.is_number(digits):
        return "bad_number"
    if held.card == "domestic":
        if cards.bank_of(bank) is None:
            return "bad_bank"
        return "" if form.get("holder") else "bad_holder"
    if not _EXPIRY.fullmatch(form.get("expiry", "")):
        return "bad_expiry"
    return "" if _CVV.fullmatch(form.get("cvv", "")) else "bad_cvv"


def _next(held: Held, language: str) -> Told:
    """The next page, or back to who sent the payer."""
    if held.stage in {Stage.OPEN, Stage.OTP}:
        return _html(pages.page_of(held, language), held=held)
    location = ("location", held.return_url)
    return Told(303, b"", HTML, (location, *_SAFE, _policy(held)))


_SAFE: Final = (
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
)


def _policy(held: Held | None) -> tuple[str, str]:
    """What a page may load, and where its forms may lead: browsers hold a redirect to it too."""
    home = urlsplit(held.return_url) if held else None
    leads = f" {home.scheme}://{home.netloc}" if home else ""
    policy = "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'"
    return "content-security-policy", f"{policy}; frame-ancestors 'none'; form-action 'self'{leads}"


def _html(text: str, status: int = 200, held: Held | None = None) -> Told:
    return Told(status, text.encode(), HTML, (*_SAFE, _policy(held)))


def _json(body: Any, status: int = 200) -> Told:
    return Told(status, msgspec.json.encode(body))
